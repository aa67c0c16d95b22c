// Judges certificate chains with Go's crypto/x509. Reads cases from standard input, one JSON object a line, and writes
// one line each: "valid", "parsed" (the signature algorithm is unknown to Go, all else was read), or "invalid: " and why.
package main

import (
	"bufio"
	"crypto/x509"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
)

type chain struct {
	Root      string `json:"root"`
	Untrusted string `json:"untrusted"`
	Leaf      string `json:"leaf"`
	// Server name to verify, when not empty.
	DNSName string `json:"dnsName"`
	// Number of URIs, DNS names and addresses that the leaf must show; absent: any.
	Names []int `json:"names"`
	// Fields of the private extension that must be there, in order; absent: the extension must be absent.
	Context []string `json:"context"`
}

var contextOID = asn1.ObjectIdentifier{1, 2, 840, 113556, 1, 8000, 2554, 64762, 41221, 52305, 18423, 38502, 15414753, 184288}

type agentContext struct {
	Workflow    string   `asn1:"optional,utf8,tag:0"`
	Task        string   `asn1:"optional,utf8,tag:1"`
	Scopes      []string `asn1:"optional,tag:2"`
	GrantDigest []byte   `asn1:"optional,tag:3"`
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var c chain
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			fmt.Println("invalid: case:", err)
			continue
		}
		verdict, err := judge(c)
		if err != nil {
			verdict = "invalid: " + err.Error()
		}
		fmt.Println(verdict)
	}
}

func judge(c chain) (string, error) {
	roots, err := read(c.Root)
	if err != nil {
		return "", err
	}
	above, err := read(c.Untrusted)
	if err != nil {
		return "", err
	}
	leaves, err := read(c.Leaf)
	if err != nil {
		return "", err
	}
	leaf := leaves[0]
	if err := show(c, leaf); err != nil {
		return "", err
	}
	if leaf.SignatureAlgorithm == x509.UnknownSignatureAlgorithm {
		return "parsed", nil
	}
	options := x509.VerifyOptions{
		Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), DNSName: c.DNSName,
	}
	options.Roots.AddCert(roots[0])
	for _, certificate := range above {
		options.Intermediates.AddCert(certificate)
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		options.KeyUsages = []x509.ExtKeyUsage{usage}
		chains, err := leaf.Verify(options)
		if err != nil {
			return "", err
		}
		if len(chains) != 1 || len(chains[0]) != 4 {
			return "", fmt.Errorf("%d chains", len(chains))
		}
	}
	return "valid", nil
}

// show holds what Go reads in the leaf against what was issued.
func show(c chain, leaf *x509.Certificate) error {
	if len(leaf.UnhandledCriticalExtensions) > 0 && leaf.SignatureAlgorithm != x509.UnknownSignatureAlgorithm {
		return fmt.Errorf("unhandled critical extensions: %v", leaf.UnhandledCriticalExtensions)
	}
	names := []int{len(leaf.URIs), len(leaf.DNSNames), len(leaf.IPAddresses)}
	if c.Names != nil && fmt.Sprint(names) != fmt.Sprint(c.Names) {
		return fmt.Errorf("names: %v", names)
	}
	for _, extension := range leaf.Extensions {
		if !extension.Id.Equal(contextOID) {
			continue
		}
		var found agentContext
		rest, err := asn1.Unmarshal(extension.Value, &found)
		if err != nil || len(rest) > 0 || extension.Critical {
			return fmt.Errorf("agent context: %v", err)
		}
		fields := append([]string{found.Workflow, found.Task, fmt.Sprintf("%x", found.GrantDigest)}, found.Scopes...)
		if fmt.Sprint(fields) != fmt.Sprint(c.Context) {
			return fmt.Errorf("agent context: %v", fields)
		}
		return nil
	}
	if c.Context != nil {
		return fmt.Errorf("no agent context")
	}
	return nil
}

func read(path string) ([]*x509.Certificate, error) {
	rest, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var certificates []*x509.Certificate
	for {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			return certificates, nil
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certificates = append(certificates, certificate)
	}
}
