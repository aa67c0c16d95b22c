// Judges an X.509-SVID with go-spiffe, as a workload does that has the bundle of one trust domain. Reads one JSON object from
// standard input and writes "valid" with the SPIFFE ID, or "invalid: " and why.
package main

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
)

type chain struct {
	// Whose roots are in the file.
	TrustDomain string `json:"trustDomain"`
	Root        string `json:"root"`
	Untrusted   string `json:"untrusted"`
	Leaf        string `json:"leaf"`
}

func main() {
	id, err := judge()
	if err != nil {
		fmt.Println("invalid:", err)
		return
	}
	fmt.Println("valid", id)
}

func judge() (string, error) {
	var c chain
	if err := json.NewDecoder(os.Stdin).Decode(&c); err != nil {
		return "", err
	}
	trustDomain, err := spiffeid.TrustDomainFromString(c.TrustDomain)
	if err != nil {
		return "", err
	}
	bundle, err := x509bundle.Load(trustDomain, c.Root)
	if err != nil {
		return "", err
	}
	var certificates []*x509.Certificate
	for _, path := range []string{c.Leaf, c.Untrusted} {
		read, err := readAll(path)
		if err != nil {
			return "", err
		}
		certificates = append(certificates, read...)
	}
	id, _, err := x509svid.Verify(certificates, x509bundle.NewSet(bundle))
	return id.String(), err
}

func readAll(path string) ([]*x509.Certificate, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var certificates []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certificates = append(certificates, certificate)
	}
	return certificates, nil
}
