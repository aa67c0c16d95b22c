// Judges revocation lists with Go's crypto/x509: parses the list in the first file, verifies it under the certificate in
// the second, and writes as JSON its number, its extensions and its entries with their reasons.
package main

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
)

type list struct {
	Number     string         `json:"number"`
	Extensions []string       `json:"extensions"`
	Entries    map[string]int `json:"entries"`
}

func main() {
	out, err := judge(os.Args[1], os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		os.Exit(1)
	}
}

func judge(path, issuer string) (*list, error) {
	der, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	crl, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, err
	}
	der, err = os.ReadFile(issuer)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	if err := crl.CheckSignatureFrom(certificate); err != nil {
		return nil, err
	}
	found := &list{Number: crl.Number.String(), Entries: map[string]int{}}
	for _, extension := range crl.Extensions {
		text := extension.Id.String()
		if extension.Critical {
			text += " critical"
		}
		found.Extensions = append(found.Extensions, text)
	}
	for _, entry := range crl.RevokedCertificateEntries {
		found.Entries[hex.EncodeToString(entry.SerialNumber.FillBytes(make([]byte, 20)))] = entry.ReasonCode
	}
	return found, nil
}
