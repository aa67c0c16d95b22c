// Judges OCSP answers with golang.org/x/crypto/ocsp. Reads cases from standard input, one JSON object a line, and writes
// one line each: "good", "revoked <reason> <seconds since 1970>", "unknown", or "invalid: " and why. Go verifies the
// signature, and that the issuer certified who made it.
package main

import (
	"bufio"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"time"

	"golang.org/x/crypto/ocsp"
)

type answer struct {
	// File with the answer in DER; files with the certificate that it is about, and its issuer's, in PEM.
	Response string `json:"response"`
	Cert     string `json:"cert"`
	Issuer   string `json:"issuer"`
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var a answer
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			fmt.Println("invalid: case:", err)
			continue
		}
		verdict, err := judge(a)
		if err != nil {
			verdict = "invalid: " + err.Error()
		}
		fmt.Println(verdict)
	}
}

func judge(a answer) (string, error) {
	der, err := os.ReadFile(a.Response)
	if err != nil {
		return "", err
	}
	cert, err := read(a.Cert)
	if err != nil {
		return "", err
	}
	issuer, err := read(a.Issuer)
	if err != nil {
		return "", err
	}
	response, err := ocsp.ParseResponseForCert(der, cert, issuer)
	if err != nil {
		return "", err
	}
	now := time.Now()
	if now.Before(response.ThisUpdate) || now.After(response.NextUpdate) || response.NextUpdate.Sub(response.ThisUpdate) > time.Minute {
		return "", fmt.Errorf("valid from %v to %v", response.ThisUpdate, response.NextUpdate)
	}
	switch response.Status {
	case ocsp.Good:
		return "good", nil
	case ocsp.Revoked:
		return fmt.Sprintf("revoked %d %d", response.RevocationReason, response.RevokedAt.Unix()), nil
	default:
		return "unknown", nil
	}
}

func read(path string) (*x509.Certificate, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	return x509.ParseCertificate(block.Bytes)
}
