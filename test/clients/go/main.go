// Clerk's Go SDK, unmodified, against a running Stagedoor; go.test.ts checks the output.
//
// Each step prints one line, {"step": …, "result": …} or {"step": …, "error": …}, and a failed step does not stop the
// next one.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/actortoken"
	"github.com/clerk/clerk-sdk-go/v2/client"
	clerkhttp "github.com/clerk/clerk-sdk-go/v2/http"
	"github.com/clerk/clerk-sdk-go/v2/jwks"
	clerkjwt "github.com/clerk/clerk-sdk-go/v2/jwt"
	"github.com/clerk/clerk-sdk-go/v2/jwttemplate"
	"github.com/clerk/clerk-sdk-go/v2/session"
	"github.com/clerk/clerk-sdk-go/v2/signintoken"
	"github.com/clerk/clerk-sdk-go/v2/user"
	"github.com/golang-jwt/jwt/v5"
)

var (
	serverURL = os.Getenv("SERVER_URL")
	issuer    = os.Getenv("ISSUER")
	actor     = json.RawMessage(os.Getenv("ACTOR"))
	ctx       = context.Background()
)

func main() {
	pointAtStagedoor(os.Getenv("SECRET_KEY"))
	if token := os.Getenv("SESSION_TOKEN"); token != "" {
		verifying(token)
		return
	}
	target := users()
	ticket := actorTokens(target)
	sessionID := redeem(ticket)
	token := sessions(target, sessionID)
	verifying(token)
	middleware(token)
	keptKey(token)
	ending(target, sessionID)
	refusals(target)
}

// The only difference from an app that uses Clerk.
func pointAtStagedoor(secretKey string) {
	clerk.SetBackend(clerk.NewBackend(&clerk.BackendConfig{
		URL: clerk.String(serverURL + "/v1"),
		Key: clerk.String(secretKey),
	}))
}

func users() string {
	metadata := json.RawMessage(`{"plan":"gold"}`)
	made := step("user.Create", func() (*clerk.User, error) {
		return user.Create(ctx, &user.CreateParams{FirstName: clerk.String("Ada"), ExternalID: clerk.String("crm-1"), PublicMetadata: &metadata})
	})
	step("user.Get", func() (*clerk.User, error) { return user.Get(ctx, made.ID) })
	step("user.List", func() (*clerk.UserList, error) {
		params := &user.ListParams{ExternalIDs: []string{"crm-1"}}
		params.Limit = clerk.Int64(5)
		return user.List(ctx, params)
	})
	step("user.Count", func() (*user.TotalCount, error) { return user.Count(ctx, &user.ListParams{}) })
	step("user.Update", func() (*clerk.User, error) {
		return user.Update(ctx, made.ID, &user.UpdateParams{LastName: clerk.String("Lovelace")})
	})
	step("user.UpdateMetadata", func() (*clerk.User, error) {
		more := json.RawMessage(`{"seats":3}`)
		return user.UpdateMetadata(ctx, made.ID, &user.UpdateMetadataParams{PublicMetadata: &more})
	})
	other := must(user.Create(ctx, &user.CreateParams{})).ID
	step("user.Ban", func() (*clerk.User, error) { return user.Ban(ctx, other) })
	step("user.Unban", func() (*clerk.User, error) { return user.Unban(ctx, other) })
	step("user.Lock", func() (*clerk.User, error) { return user.Lock(ctx, other) })
	step("user.Unlock", func() (*clerk.User, error) { return user.Unlock(ctx, other) })
	step("user.Delete", func() (*clerk.DeletedResource, error) { return user.Delete(ctx, other) })
	return made.ID
}

func actorTokens(target string) (ticket string) {
	params := &actortoken.CreateParams{
		UserID:                      clerk.String(target),
		Actor:                       actor,
		ExpiresInSeconds:            clerk.Int64(600),
		SessionMaxDurationInSeconds: clerk.Int64(900),
	}
	revoked := must(actortoken.Create(ctx, params))
	step("actortoken.Revoke", func() (*clerk.ActorToken, error) { return actortoken.Revoke(ctx, revoked.ID) })
	step("actortoken.Revoke again", func() (*clerk.ActorToken, error) { return actortoken.Revoke(ctx, revoked.ID) })
	pass := step("signintoken.Create", func() (*clerk.SignInToken, error) {
		return signintoken.Create(ctx, &signintoken.CreateParams{UserID: clerk.String(target)})
	})
	step("signintoken.Revoke", func() (*clerk.SignInToken, error) { return signintoken.Revoke(ctx, pass.ID) })
	made := step("actortoken.Create", func() (*clerk.ActorToken, error) { return actortoken.Create(ctx, params) })
	step("a trace ID", func() (string, error) { return made.Response.TraceID, nil })
	return made.Token
}

// The browser's part: the server SDKs have no call for it.
func redeem(ticket string) (sessionID string) {
	answer := must(http.PostForm(serverURL+"/v1/client/sign_ins", url.Values{"strategy": {"ticket"}, "ticket": {ticket}}))
	defer answer.Body.Close()
	var body struct {
		Response struct {
			CreatedSessionID string `json:"created_session_id"`
		} `json:"response"`
	}
	check(json.NewDecoder(answer.Body).Decode(&body))
	for _, cookie := range answer.Cookies() {
		if cookie.Name == "__client" {
			step("client.Verify", func() (*clerk.Client, error) {
				return client.Verify(ctx, &client.VerifyParams{Token: clerk.String(cookie.Value)})
			})
		}
	}
	return body.Response.CreatedSessionID
}

func sessions(target, id string) (token string) {
	step("session.List", func() (*clerk.SessionList, error) {
		return session.List(ctx, &session.ListParams{UserID: clerk.String(target), Status: clerk.String("active")})
	})
	found := step("session.Get", func() (*clerk.Session, error) { return session.Get(ctx, id) })
	step("client.Get", func() (*clerk.Client, error) { return client.Get(ctx, found.ClientID) })
	step("session.Create", func() (*clerk.Session, error) {
		return session.Create(ctx, &session.CreateParams{UserID: target})
	})
	step("session.Verify", func() (*clerk.Session, error) {
		return session.Verify(ctx, &session.VerifyParams{ID: id, Token: clerk.String("any")})
	})
	step("jwttemplate.Create", func() (*clerk.JWTTemplate, error) {
		return jwttemplate.Create(ctx, &jwttemplate.CreateParams{
			Name:   clerk.String("support"),
			Claims: json.RawMessage(`{"acting":"{{session.actor.sub}}"}`),
		})
	})
	step("session.CreateToken of a template", func() (*clerk.UnverifiedToken, error) {
		made := must(session.CreateToken(ctx, &session.CreateTokenParams{ID: id, TemplateName: "support"}))
		return clerkjwt.Decode(ctx, &clerkjwt.DecodeParams{Token: made.JWT})
	})
	return step("session.CreateToken", func() (*clerk.SessionToken, error) {
		return session.CreateToken(ctx, &session.CreateTokenParams{ID: id})
	}).JWT
}

// With the SDK, as in Clerk's documentation, and with golang-jwt.
func verifying(token string) {
	step("jwt.Verify", func() (*clerk.SessionClaims, error) {
		return clerkjwt.Verify(ctx, &clerkjwt.VerifyParams{Token: token})
	})
	step("jwt.Verify with ProxyURL", func() (*clerk.SessionClaims, error) {
		return clerkjwt.Verify(ctx, &clerkjwt.VerifyParams{Token: token, ProxyURL: clerk.String(issuer)})
	})
	step("jwt.Verify of a forgery", func() (*clerk.SessionClaims, error) {
		return clerkjwt.Verify(ctx, &clerkjwt.VerifyParams{Token: forged(token), ProxyURL: clerk.String(issuer)})
	})
	keys := must(keyfunc.NewDefaultCtx(ctx, []string{serverURL + "/.well-known/jwks.json"}))
	options := []jwt.ParserOption{
		jwt.WithValidMethods([]string{"RS256", "ES256", "EdDSA"}),
		jwt.WithIssuer(issuer),
		jwt.WithExpirationRequired(),
	}
	parse := func(token string, options ...jwt.ParserOption) (jwt.MapClaims, error) {
		claims := jwt.MapClaims{}
		_, err := jwt.ParseWithClaims(token, claims, keys.Keyfunc, options...)
		return claims, err
	}
	step("golang-jwt", func() (jwt.MapClaims, error) { return parse(token, options...) })
	step("golang-jwt of a forgery", func() (jwt.MapClaims, error) { return parse(forged(token), options...) })
	step("golang-jwt of another issuer", func() (jwt.MapClaims, error) {
		return parse(token, append(options, jwt.WithIssuer("https://other.example.com"))...)
	})
}

// Another signature of the same length.
func forged(token string) string {
	at := strings.LastIndex(token, ".") + 1
	return token[:at] + strings.Repeat("A", len(token)-at)
}

func middleware(token string) {
	protected := clerkhttp.RequireHeaderAuthorization(clerkhttp.ProxyURL(issuer))(
		http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
			claims, _ := clerk.SessionClaimsFromContext(request.Context())
			check(json.NewEncoder(answer).Encode(map[string]any{"sub": claims.Subject, "actor": claims.Actor}))
		}))
	for name, authorization := range map[string]string{
		"middleware":                 "Bearer " + token,
		"middleware of a forgery":    "Bearer " + forged(token),
		"middleware without a token": "",
	} {
		step(name, func() (map[string]any, error) {
			request := httptest.NewRequest(http.MethodGet, "/", nil)
			request.Header.Set("Authorization", authorization)
			answer := httptest.NewRecorder()
			protected.ServeHTTP(answer, request)
			return map[string]any{"status": answer.Code, "body": answer.Body.String()}, nil
		})
	}
}

// The middleware keeps a key for an hour after its last use, even if the server's key set no longer has it.
func keptKey(token string) {
	empty := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) {
		must(answer.Write([]byte(`{"keys":[]}`)))
	}))
	defer empty.Close()
	keys := jwks.NewClient(&clerk.ClientConfig{BackendConfig: clerk.BackendConfig{URL: clerk.String(empty.URL)}})
	step("middleware once the key is gone", func() ([]int, error) {
		var codes []int
		for _, minutes := range []time.Duration{50, 100, 170} {
			answer := httptest.NewRecorder()
			request := httptest.NewRequest(http.MethodGet, "/", nil)
			request.Header.Set("Authorization", "Bearer "+token)
			clerkhttp.RequireHeaderAuthorization(
				clerkhttp.ProxyURL(issuer),
				clerkhttp.JWKSClient(keys),
				clerkhttp.Clock(later(minutes*time.Minute)),
				clerkhttp.Leeway(4*time.Hour),
			)(http.NotFoundHandler()).ServeHTTP(answer, request)
			codes = append(codes, answer.Code)
		}
		return codes, nil
	})
}

// A clock that is ahead.
type later time.Duration

func (ahead later) Now() time.Time { return time.Now().Add(time.Duration(ahead)) }

func ending(target, id string) {
	step("session.Revoke", func() (*clerk.Session, error) { return session.Revoke(ctx, &session.RevokeParams{ID: id}) })
	step("session.CreateToken of a revoked session", func() (*clerk.SessionToken, error) {
		return session.CreateToken(ctx, &session.CreateTokenParams{ID: id})
	})
}

func refusals(target string) {
	step("an actor that is missing", func() (*clerk.ActorToken, error) {
		return actortoken.Create(ctx, &actortoken.CreateParams{UserID: clerk.String(target)})
	})
	step("a user who is not there", func() (*clerk.User, error) { return user.Get(ctx, "user_nobody") })
	pointAtStagedoor("sk_live_wrong")
	step("a wrong secret key", func() (*clerk.User, error) { return user.Get(ctx, target) })
}

// Runs a step and prints its outcome: the result as the SDK returns it, or its error.
func step[T any](name string, do func() (T, error)) T {
	result, err := do()
	line := map[string]any{"step": name}
	var refused *clerk.APIErrorResponse
	switch {
	case errors.As(err, &refused):
		line["error"] = refused
	case err != nil:
		line["error"] = err.Error()
	default:
		line["result"] = result
	}
	check(json.NewEncoder(os.Stdout).Encode(line))
	return result
}

func must[T any](result T, err error) T {
	check(err)
	return result
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
