// A static program, which reads /etc/hosts by its own means and not by a C library's: it asks a Redis from which address it
// is seen. Arguments: host:port, the file of the authority. REDISCLI_AUTH is the password.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
)

func main() {
	pem, err := os.ReadFile(os.Args[2])
	if err != nil {
		fail(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	connection, err := tls.Dial("tcp", os.Args[1], &tls.Config{RootCAs: roots})
	if err != nil {
		fail(err)
	}
	defer connection.Close()
	fmt.Fprintf(connection, "AUTH %s\r\nCLIENT INFO\r\nQUIT\r\n", os.Getenv("REDISCLI_AUTH"))
	lines := bufio.NewScanner(connection)
	for lines.Scan() {
		for _, word := range strings.Fields(lines.Text()) {
			if strings.HasPrefix(word, "addr=") {
				fmt.Println(strings.TrimPrefix(word, "addr="))
			}
		}
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
