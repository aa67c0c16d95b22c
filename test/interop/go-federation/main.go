// The two sides of SPIFFE Federation as go-spiffe has them, unmodified. What they see is said in JSON lines.
//
//	fetch URL DOMAIN ENDPOINT-ID BUNDLE-FILE   a bundle by https_spiffe
//	fetch-web URL DOMAIN CA-FILE               a bundle by https_web
//	serve DOMAIN BUNDLE-FILE CHAIN-FILE KEY-FILE   a bundle endpoint on loopback
//	validate DOMAIN BUNDLE-FILE AUDIENCE TOKEN     a JWT-SVID by the keys of a bundle
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/federation"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
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

func domain(name string) spiffeid.TrustDomain {
	return spiffeid.RequireTrustDomainFromString(name)
}

func load(name, file string) *spiffebundle.Bundle {
	bundle, err := spiffebundle.Load(domain(name), file)
	check(err)
	return bundle
}

func fetch(url, name string, option federation.FetchOption) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	bundle, err := federation.FetchBundle(ctx, domain(name), url, option)
	check(err)
	sequence, _ := bundle.SequenceNumber()
	hint, _ := bundle.RefreshHint()
	say(map[string]any{
		"sequence": sequence,
		"hint":     int(hint.Seconds()),
		"x509":     len(bundle.X509Authorities()),
		"jwt":      len(bundle.JWTAuthorities()),
	})
}

func serve(name, file, chain, key string) {
	handler, err := federation.NewHandler(domain(name), load(name, file))
	check(err)
	certificate, err := tls.LoadX509KeyPair(chain, key)
	check(err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	say(map[string]any{"listening": listener.Addr().String()})
	server := &http.Server{Handler: handler, TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}}}
	check(server.ServeTLS(listener, "", ""))
}

func main() {
	args := os.Args[2:]
	switch os.Args[1] {
	case "fetch":
		endpoint := spiffeid.RequireFromString(args[2])
		known := spiffebundle.NewSet(load(endpoint.TrustDomain().Name(), args[3]))
		fetch(args[0], args[1], federation.WithSPIFFEAuth(known, endpoint))
	case "fetch-web":
		pem, err := os.ReadFile(args[2])
		check(err)
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		fetch(args[0], args[1], federation.WithWebPKIRoots(roots))
	case "serve":
		serve(args[0], args[1], args[2], args[3])
	case "validate":
		svid, err := jwtsvid.ParseAndValidate(args[3], load(args[0], args[1]), []string{args[2]})
		check(err)
		say(map[string]any{"id": svid.ID.String(), "audience": svid.Audience})
	}
}
