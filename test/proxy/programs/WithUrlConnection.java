import java.io.InputStream;
import java.net.Authenticator;
import java.net.HttpURLConnection;
import java.net.InetSocketAddress;
import java.net.PasswordAuthentication;
import java.net.Proxy;
import java.net.URI;

class WithUrlConnection {
  public static void main(String[] arguments) throws Exception {
    // Basic is off for tunnels unless it is said before the first request.
    System.setProperty("jdk.http.auth.tunneling.disabledSchemes", "");
    URI address = URI.create(System.getenv("PROXY_URL"));
    String[] user = address.getUserInfo().split(":", 2);
    Authenticator.setDefault(
        new Authenticator() {
          @Override
          protected PasswordAuthentication getPasswordAuthentication() {
            return new PasswordAuthentication(user[0], user[1].toCharArray());
          }
        });
    Proxy proxy = new Proxy(Proxy.Type.HTTP, new InetSocketAddress(address.getHost(), address.getPort()));
    var connection = (HttpURLConnection) URI.create(arguments[0]).toURL().openConnection(proxy);
    try (InputStream body = connection.getInputStream()) {
      System.out.println(new String(body.readAllBytes()));
    } catch (java.io.IOException error) {
      System.err.println(error + " " + connection.getHeaderFields());
      System.exit(1);
    }
  }
}
