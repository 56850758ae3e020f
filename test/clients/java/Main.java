import com.clerk.backend_api.Clerk;
import com.clerk.backend_api.helpers.security.AuthenticateRequest;
import com.clerk.backend_api.helpers.security.VerifyToken;
import com.clerk.backend_api.helpers.security.models.AuthenticateRequestOptions;
import com.clerk.backend_api.helpers.security.models.TokenVerificationException;
import com.clerk.backend_api.helpers.security.models.VerifyTokenOptions;
import com.clerk.backend_api.models.errors.ClerkErrors;
import com.clerk.backend_api.models.operations.Actor;
import com.clerk.backend_api.models.operations.CreateActorTokenRequestBody;
import com.clerk.backend_api.models.operations.CreateUserRequestBody;
import com.clerk.backend_api.models.operations.GetSessionListRequest;
import com.clerk.backend_api.models.operations.GetUserListRequest;
import com.clerk.backend_api.models.operations.Status;
import com.clerk.backend_api.models.operations.UpdateUserMetadataRequestBody;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.nimbusds.jose.JOSEObjectType;
import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.jwk.source.JWKSourceBuilder;
import com.nimbusds.jose.proc.DefaultJOSEObjectTypeVerifier;
import com.nimbusds.jose.proc.JWSVerificationKeySelector;
import com.nimbusds.jose.proc.SecurityContext;
import com.nimbusds.jwt.JWTClaimsSet;
import com.nimbusds.jwt.proc.DefaultJWTClaimsVerifier;
import com.nimbusds.jwt.proc.DefaultJWTProcessor;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Callable;

/**
 * Clerk's Java SDK, unmodified, against a running Stagedoor; java.test.ts checks the output.
 *
 * <p>Each step prints one line, {"step": …, "result": …} or {"step": …, "error": …}, and a failed step does not stop the
 * next one.
 */
class Main {
  static final ObjectMapper JSON = new ObjectMapper();
  static final String SERVER_URL = System.getenv("SERVER_URL");
  static final String SECRET_KEY = System.getenv("SECRET_KEY");

  public static void main(String[] args) throws Exception {
    String given = System.getenv("SESSION_TOKEN");
    if (given != null) {
      verifying(given);
      return;
    }
    Clerk clerk = clerk(SECRET_KEY);
    String user = users(clerk);
    String session = redeem(actorTokens(clerk, user));
    String token = sessions(clerk, user, session);
    verifying(token);
    ending(clerk, user, session);
  }

  /** The only difference from an app that uses Clerk. */
  static Clerk clerk(String secretKey) {
    return Clerk.builder().bearerAuth(secretKey).serverURL(SERVER_URL + "/v1").build();
  }

  static String users(Clerk clerk) throws Exception {
    var body = CreateUserRequestBody.builder().firstName("Ada").externalId("crm-1").publicMetadata(Map.of("plan", "gold")).build();
    var made = clerk.users().create(body).user().get();
    step("users.get", () -> clerk.users().get(made.id()).user().get().firstName().get());
    var request = GetUserListRequest.builder().externalId(List.of("crm-1")).limit(5).build();
    step("users.list", () -> clerk.users().list(request).userList().get().stream().map(user -> user.id()).toList());
    step("users.count", () -> clerk.users().count().call().totalCount().get().totalCount());
    var more = UpdateUserMetadataRequestBody.builder().publicMetadata(Map.of("seats", 3)).build();
    step("users.updateMetadata", () -> clerk.users().updateMetadata(made.id(), Optional.of(more), Optional.empty()).user().get().publicMetadata());
    var other = clerk.users().create(CreateUserRequestBody.builder().build()).user().get().id();
    step("users.ban", () -> clerk.users().ban(other).user().get().banned());
    step("users.delete", () -> clerk.users().delete(other).deletedObject().get().deleted());
    step("users.create", () -> made.id());
    return made.id();
  }

  @SuppressWarnings("unchecked")
  static String actorTokens(Clerk clerk, String user) throws Exception {
    Map<String, Object> actor = JSON.readValue(System.getenv("ACTOR"), Map.class);
    var built = Actor.builder().sub((String) actor.remove("sub")).additionalProperties(actor).build();
    var body = CreateActorTokenRequestBody.builder().userId(user).actor(built).expiresInSeconds(600).sessionMaxDurationInSeconds(900).build();
    var revoked = clerk.actorTokens().create().request(body).call().actorToken().get();
    step("actorTokens.revoke", () -> clerk.actorTokens().revoke(revoked.id()).actorToken().get().status().value());
    step("actorTokens.revoke again", () -> clerk.actorTokens().revoke(revoked.id()).actorToken().get().status().value());
    var made = clerk.actorTokens().create().request(body).call().actorToken().get();
    step("actorTokens.create", () -> Map.of("status", made.status().value(), "user_id", made.userId(), "url", made.url().get(), "actor", made.actor().toString()));
    return made.token().get();
  }

  /** The browser's part: the server SDKs have no call for it. */
  static String redeem(String ticket) throws Exception {
    var form = "strategy=ticket&ticket=" + URLEncoder.encode(ticket, StandardCharsets.UTF_8);
    var request = HttpRequest.newBuilder(URI.create(SERVER_URL + "/v1/client/sign_ins"))
        .header("Content-Type", "application/x-www-form-urlencoded")
        .POST(HttpRequest.BodyPublishers.ofString(form)).build();
    var answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
    return JSON.readTree(answer.body()).at("/response/created_session_id").asText();
  }

  static String sessions(Clerk clerk, String user, String session) throws Exception {
    var request = GetSessionListRequest.builder().userId(user).status(Status.ACTIVE).build();
    step("sessions.list", () -> clerk.sessions().list(request).sessionList().get().stream().map(each -> each.id()).toList());
    step("sessions.get", () -> {
      var found = clerk.sessions().get(session).session().get();
      return Map.of("id", found.id(), "status", found.status().value(), "acting", found.actor().isPresent());
    });
    step("jwks", () -> clerk.jwks().getJWKSDirect().statusCode());
    return clerk.sessions().createToken(session).object().get().jwt().get();
  }

  /** With the SDK, as in Clerk's documentation, and with Nimbus. */
  static void verifying(String token) throws Exception {
    var options = VerifyTokenOptions.secretKey(SECRET_KEY).apiUrl(SERVER_URL).build();
    step("verifyToken", () -> VerifyToken.verifyToken(token, options).payload());
    step("verifyToken of a forgery", () -> VerifyToken.verifyToken(forged(token), options).payload());
    var headers = Map.of("Authorization", List.of("Bearer " + token));
    step("authenticateRequest", () -> {
      // Fetches the keys from api.clerk.com, its only address for them. The cache is skipped, because it has them already.
      var state = AuthenticateRequest.authenticateRequest(headers, AuthenticateRequestOptions.secretKey(SECRET_KEY).skipJwksCache(true).build());
      return state.isSignedIn() ? state.tokenVerificationResponse().get().payload() : state.reason().get().id();
    });
    step("authenticateRequest with jwtKey", () -> {
      var state = AuthenticateRequest.authenticateRequest(headers, AuthenticateRequestOptions.jwtKey(System.getenv("JWT_KEY")).build());
      return state.isSignedIn() ? state.tokenVerificationResponse().get().payload() : state.reason().get().id();
    });
    var nimbus = nimbus(System.getenv("ISSUER"));
    step("nimbus", () -> nimbus.process(token, null).toJSONObject());
    step("nimbus of a forgery", () -> nimbus.process(forged(token), null).toJSONObject());
    step("nimbus of another issuer", () -> nimbus("https://other.example.com").process(token, null).toJSONObject());
  }

  static DefaultJWTProcessor<SecurityContext> nimbus(String issuer) throws Exception {
    var keys = JWKSourceBuilder.create(URI.create(SERVER_URL + "/.well-known/jwks.json").toURL()).build();
    var processor = new DefaultJWTProcessor<SecurityContext>();
    processor.setJWSTypeVerifier(new DefaultJOSEObjectTypeVerifier<>(JOSEObjectType.JWT));
    processor.setJWSKeySelector(new JWSVerificationKeySelector<>(Set.of(JWSAlgorithm.RS256, JWSAlgorithm.ES256, JWSAlgorithm.EdDSA), keys));
    processor.setJWTClaimsSetVerifier(new DefaultJWTClaimsVerifier<>(new JWTClaimsSet.Builder().issuer(issuer).build(), Set.of("sub", "exp", "sid")));
    return processor;
  }

  /** Another signature of the same length. */
  static String forged(String token) {
    int at = token.lastIndexOf('.') + 1;
    return token.substring(0, at) + "A".repeat(token.length() - at);
  }

  static void ending(Clerk clerk, String user, String session) throws Exception {
    step("sessions.revoke", () -> clerk.sessions().revoke(session).session().get().status().value());
    step("sessions.createToken of a revoked session", () -> clerk.sessions().createToken(session).statusCode());
    step("a user who is not there", () -> clerk.users().get("user_nobody").statusCode());
    step("a wrong secret key", () -> clerk("sk_live_wrong").users().get(user).statusCode());
  }

  /** Runs a step and prints its outcome: the result as the SDK returns it, or its error. */
  static void step(String name, Callable<Object> what) throws Exception {
    Map<String, Object> line = new LinkedHashMap<>();
    line.put("step", name);
    try {
      line.put("result", what.call());
    } catch (ClerkErrors refused) {
      var codes = refused.errors().get().stream().map(error -> error.code()).toList();
      line.put("error", Map.of("status", refused.code(), "codes", codes));
    } catch (TokenVerificationException refused) {
      line.put("error", refused.reason().id());
    } catch (Exception refused) {
      line.put("error", refused.getClass().getSimpleName() + ": " + refused.getMessage());
    }
    System.out.println(JSON.writeValueAsString(line));
  }
}
