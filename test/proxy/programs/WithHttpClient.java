import java.net.Authenticator;
import java.net.InetSocketAddress;
import java.net.PasswordAuthentication;
import java.net.ProxySelector;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;

class WithHttpClient {
  public static void main(String[] arguments) throws Exception {
    // Basic is off for tunnels unless it is said before the first request.
    System.setProperty("jdk.http.auth.tunneling.disabledSchemes", "");
    URI proxy = URI.create(System.getenv("PROXY_URL"));
    String[] user = proxy.getUserInfo().split(":", 2);
    HttpClient client =
        HttpClient.newBuilder()
            .proxy(ProxySelector.of(new InetSocketAddress(proxy.getHost(), proxy.getPort())))
            .authenticator(
                new Authenticator() {
                  @Override
                  protected PasswordAuthentication getPasswordAuthentication() {
                    return new PasswordAuthentication(user[0], user[1].toCharArray());
                  }
                })
            .build();
    var response = client.send(HttpRequest.newBuilder(URI.create(arguments[0])).build(), BodyHandlers.ofString());
    if (response.statusCode() != 200) {
      System.err.println(response.statusCode() + " " + response.headers().map() + " " + response.body());
      System.exit(1);
    }
    System.out.println(response.body());
  }
}
