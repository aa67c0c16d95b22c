import io.spiffe.bundle.jwtbundle.JwtBundleSet;
import io.spiffe.provider.SpiffeSslContextFactory;
import io.spiffe.provider.SpiffeSslContextFactory.SslContextOptions;
import io.spiffe.spiffeid.SpiffeId;
import io.spiffe.svid.jwtsvid.JwtSvid;
import io.spiffe.workloadapi.DefaultWorkloadApiClient;
import io.spiffe.workloadapi.DefaultX509Source;
import io.spiffe.workloadapi.Watcher;
import io.spiffe.workloadapi.WorkloadApiClient;
import io.spiffe.workloadapi.X509Context;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.stream.Collectors;
import javax.net.ssl.SSLSocket;

/**
 * Workloads as java-spiffe makes them, unmodified, of whatever Workload API SPIFFE_ENDPOINT_SOCKET names. What they see is
 * said in JSON lines.
 *
 * <pre>
 * watch               every X.509 context that comes
 * jwt AUDIENCE        a JWT-SVID: fetched, validated by the library and by the daemon
 * dial HOST PORT ID   what a server with just this id says to "hello", over mutual TLS
 * </pre>
 */
public final class Workload {
  private static void say(String json) {
    System.out.println(json);
    System.out.flush();
  }

  public static void main(String[] args) throws Exception {
    switch (args[0]) {
      case "watch" -> watch();
      case "jwt" -> jwt(args[1]);
      case "dial" -> dial(args[1], Integer.parseInt(args[2]), SpiffeId.parse(args[3]));
      default -> throw new IllegalArgumentException(args[0]);
    }
    System.exit(0);
  }

  private static void watch() throws Exception {
    WorkloadApiClient client = DefaultWorkloadApiClient.newClient();
    client.watchX509Context(
        new Watcher<X509Context>() {
          @Override
          public void onUpdate(X509Context got) {
            String svids =
                got.getX509Svids().stream()
                    .map(
                        svid ->
                            String.format(
                                "{\"id\":\"%s\",\"serial\":\"%s\",\"hint\":\"%s\"}",
                                svid.getSpiffeId(),
                                svid.getLeaf().getSerialNumber().toString(16),
                                svid.getHint()))
                    .collect(Collectors.joining(","));
            String bundles =
                got.getX509BundleSet().getBundles().keySet().stream()
                    .map(domain -> "\"" + domain.getName() + "\"")
                    .collect(Collectors.joining(","));
            say("{\"svids\":[" + svids + "],\"bundles\":[" + bundles + "]}");
          }

          @Override
          public void onError(Throwable error) {
            say("{\"error\":\"" + error.getClass().getSimpleName() + "\"}");
          }
        });
    new CountDownLatch(1).await();
  }

  private static void jwt(String audience) throws Exception {
    WorkloadApiClient client = DefaultWorkloadApiClient.newClient();
    JwtSvid svid = client.fetchJwtSvid(audience);
    JwtBundleSet bundles = client.fetchJwtBundles();
    JwtSvid own = JwtSvid.parseAndValidate(svid.getToken(), bundles, Set.of(audience));
    JwtSvid validated = client.validateJwtSvid(svid.getToken(), audience);
    String other = "null";
    try {
      client.validateJwtSvid(svid.getToken(), "somebody-else");
    } catch (Exception error) {
      other = "\"" + error.getClass().getSimpleName() + "\"";
    }
    say(
        String.format(
            "{\"id\":\"%s\",\"own\":\"%s\",\"daemon\":\"%s\",\"other\":%s}",
            svid.getSpiffeId(), own.getSpiffeId(), validated.getSpiffeId(), other));
  }

  private static void dial(String host, int port, SpiffeId expected) throws Exception {
    SslContextOptions options =
        SslContextOptions.builder()
            .x509Source(DefaultX509Source.newSource())
            .sslProtocol("TLSv1.3")
            .acceptedSpiffeIdsSupplier(() -> Set.of(expected))
            .build();
    try (SSLSocket socket =
        (SSLSocket)
            SpiffeSslContextFactory.getSslContext(options).getSocketFactory().createSocket(host, port)) {
      socket.getOutputStream().write("hello\n".getBytes());
      String line = new BufferedReader(new InputStreamReader(socket.getInputStream())).readLine();
      say("{\"answer\":\"" + line + "\"}");
    } catch (java.io.IOException error) {
      say("{\"error\":\"" + error.getClass().getSimpleName() + "\"}");
    }
  }
}
