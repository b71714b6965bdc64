// The JDK's clients: java.net.http, which offers h2c with every first call, and HttpURLConnection.
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;

public class HttpClients {
    static int post(HttpClient client, String url, String key, String kind, byte[] body)
            throws Exception {
        var request = HttpRequest.newBuilder(URI.create(url))
                .header("Content-Type", kind).header("X-API-Key", key)
                .POST(HttpRequest.BodyPublishers.ofByteArray(body)).build();
        return client.send(request, HttpResponse.BodyHandlers.ofString()).statusCode();
    }

    public static void main(String[] args) throws Exception {
        String text = args[0], tryon = args[1], key = args[2];
        byte[] body = "{\"texts\": [\"hello\"]}".getBytes(StandardCharsets.UTF_8);
        String form = "--b\r\nContent-Disposition: form-data; name=\"job_id\"\r\n\r\nj\r\n--b--\r\n";
        for (var version : HttpClient.Version.values()) {
            var client = HttpClient.newBuilder().version(version).build();
            for (int round = 0; round < 3; round++)
                System.out.println(version + " " + post(client, text + "/embed", key, "application/json", body));
            // Without a token 401; with a lost body it would be another one.
            System.out.println(version + " form " + post(client, tryon + "/tryon", "wrong-key-of-java",
                    "multipart/form-data; boundary=b", form.getBytes(StandardCharsets.UTF_8)));
        }
        var old = (HttpURLConnection) URI.create(text + "/embed").toURL().openConnection();
        old.setDoOutput(true);
        old.setRequestProperty("Content-Type", "application/json");
        old.setRequestProperty("X-API-Key", key);
        old.getOutputStream().write(body);
        System.out.println("HttpURLConnection " + old.getResponseCode());
    }
}
