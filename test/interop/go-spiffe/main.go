// Workloads as go-spiffe makes them, unmodified, of whatever Workload API SPIFFE_ENDPOINT_SOCKET names. What they see is
// said in JSON lines.
//
//	watch             every X.509 context and JWT bundle that comes, and how the stream ends
//	jwt AUDIENCE      a JWT-SVID: fetched, validated by the library and by the daemon
//	serve ADDRESS ID  echoes what clients whose id begins like this say, over mutual TLS
//	dial ADDRESS ID   says "hello" again and again to such a server, over one connection
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

func say(what map[string]any) {
	line, err := json.Marshal(what)
	check(err)
	fmt.Println(string(line))
}

func check(err error) {
	if err != nil {
		say(map[string]any{"error": err.Error()})
		os.Exit(1)
	}
}

type watcher struct{}

func (watcher) OnX509ContextUpdate(got *workloadapi.X509Context) {
	svids := []map[string]string{}
	for _, svid := range got.SVIDs {
		svids = append(svids, map[string]string{
			"id":     svid.ID.String(),
			"serial": svid.Certificates[0].SerialNumber.Text(16),
			"hint":   svid.Hint,
		})
	}
	bundles := []string{}
	for _, bundle := range got.Bundles.Bundles() {
		bundles = append(bundles, bundle.TrustDomain().Name())
	}
	say(map[string]any{"svids": svids, "bundles": bundles})
}

func (watcher) OnX509ContextWatchError(err error) {
	say(map[string]any{"x509": err.Error()})
}

func (watcher) OnJWTBundlesUpdate(set *jwtbundle.Set) {
	keys := map[string]int{}
	for _, bundle := range set.Bundles() {
		keys[bundle.TrustDomain().Name()] = len(bundle.JWTAuthorities())
	}
	say(map[string]any{"jwt": keys})
}

func (watcher) OnJWTBundlesWatchError(err error) {
	say(map[string]any{"jwt_error": err.Error()})
}

func watch(ctx context.Context) {
	client, err := workloadapi.New(ctx)
	check(err)
	go func() { check(client.WatchJWTBundles(ctx, watcher{})) }()
	check(client.WatchX509Context(ctx, watcher{}))
}

func jwt(ctx context.Context, audience string) {
	client, err := workloadapi.New(ctx)
	check(err)
	svid, err := client.FetchJWTSVID(ctx, jwtsvid.Params{Audience: audience})
	check(err)
	bundles, err := client.FetchJWTBundles(ctx)
	check(err)
	own, err := jwtsvid.ParseAndValidate(svid.Marshal(), bundles, []string{audience})
	check(err)
	validated, err := client.ValidateJWTSVID(ctx, svid.Marshal(), audience)
	check(err)
	_, other := client.ValidateJWTSVID(ctx, svid.Marshal(), "somebody-else")
	say(map[string]any{"id": svid.ID.String(), "own": own.ID.String(), "daemon": validated.ID.String(), "other": other != nil})
}

// authorize accepts whose id begins so: instances of an agent are not known beforehand.
func authorize(prefix string) tlsconfig.Authorizer {
	return tlsconfig.AdaptMatcher(func(actual spiffeid.ID) error {
		if strings.HasPrefix(actual.String(), prefix) {
			return nil
		}
		return fmt.Errorf("not one of %s: %s", prefix, actual)
	})
}

func serve(ctx context.Context, address string, allowed string) {
	listener, err := spiffetls.Listen(ctx, "tcp", address, authorize(allowed))
	check(err)
	say(map[string]any{"listening": listener.Addr().String()})
	for {
		connection, err := listener.Accept()
		check(err)
		go echo(connection)
	}
}

func echo(connection net.Conn) {
	defer connection.Close()
	lines := bufio.NewScanner(connection)
	for lines.Scan() {
		peer, err := spiffetls.PeerIDFromConn(connection)
		if err != nil {
			say(map[string]any{"refused": err.Error()})
			return
		}
		say(map[string]any{"heard": lines.Text(), "from": peer.String()})
		fmt.Fprintln(connection, lines.Text())
	}
	if err := lines.Err(); err != nil && !errors.Is(err, net.ErrClosed) {
		say(map[string]any{"refused": err.Error()})
	}
}

func dial(ctx context.Context, address string, allowed string) {
	connection, err := spiffetls.Dial(ctx, "tcp", address, authorize(allowed))
	check(err)
	answers := bufio.NewScanner(connection)
	for {
		fmt.Fprintln(connection, "hello")
		if !answers.Scan() {
			check(errors.Join(answers.Err(), errors.New("the connection has ended")))
		}
		peer, err := spiffetls.PeerIDFromConn(connection)
		check(err)
		say(map[string]any{"answer": answers.Text(), "from": peer.String()})
		time.Sleep(50 * time.Millisecond)
	}
}

func main() {
	ctx := context.Background()
	switch strings.Join(os.Args[1:2], "") {
	case "watch":
		watch(ctx)
	case "jwt":
		jwt(ctx, os.Args[2])
	case "serve":
		serve(ctx, os.Args[2], os.Args[3])
	case "dial":
		dial(ctx, os.Args[2], os.Args[3])
	}
}
