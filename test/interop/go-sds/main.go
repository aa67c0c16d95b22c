// A proxy as Envoy is towards its secret discovery service, with Envoy's own messages: main SOCKET NAME... asks for these
// names on a stream, takes each answer, and says in a JSON line what is in it. A name that begins with "!" is asked for when
// the first answer was there; "-" as the first name refuses the first answer. main SOCKET delta NAME... does the same on an
// incremental stream, where "~" before a name says that it is not wanted any more.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"strings"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	secret "github.com/envoyproxy/go-control-plane/envoy/service/secret/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

const secretType = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"

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

func roots(chain []byte) int {
	count := 0
	for len(chain) > 0 {
		var block *pem.Block
		block, chain = pem.Decode(chain)
		if block == nil {
			break
		}
		_, err := x509.ParseCertificate(block.Bytes)
		check(err)
		count++
	}
	return count
}

func describe(one *tlsv3.Secret) string {
	if given := one.GetTlsCertificate(); given != nil {
		pair, err := tls.X509KeyPair(given.CertificateChain.GetInlineBytes(), given.PrivateKey.GetInlineBytes())
		check(err)
		leaf, err := x509.ParseCertificate(pair.Certificate[0])
		check(err)
		return leaf.URIs[0].String() + " " + leaf.SerialNumber.Text(16)
	}
	context := one.GetValidationContext()
	if extension := context.GetCustomValidatorConfig(); extension != nil {
		var config tlsv3.SPIFFECertValidatorConfig
		check(extension.TypedConfig.UnmarshalTo(&config))
		names := []string{}
		for _, domain := range config.TrustDomains {
			names = append(names, fmt.Sprintf("%s:%d", domain.Name, roots(domain.TrustBundle.GetInlineBytes())))
		}
		return extension.Name + " " + strings.Join(names, ",")
	}
	return fmt.Sprintf("roots %d", roots(bytes.TrimSpace(context.GetTrustedCa().GetInlineBytes())))
}

func delta(client secret.SecretDiscoveryServiceClient, given []string) {
	ask := &discovery.DeltaDiscoveryRequest{TypeUrl: secretType}
	then := &discovery.DeltaDiscoveryRequest{TypeUrl: secretType}
	for _, name := range given {
		switch name[0] {
		case '!':
			then.ResourceNamesSubscribe = append(then.ResourceNamesSubscribe, name[1:])
		case '~':
			then.ResourceNamesUnsubscribe = append(then.ResourceNamesUnsubscribe, name[1:])
		default:
			ask.ResourceNamesSubscribe = append(ask.ResourceNamesSubscribe, name)
		}
	}
	stream, err := client.DeltaSecrets(context.Background())
	check(err)
	for {
		check(stream.Send(ask))
		answer, err := stream.Recv()
		check(err)
		secrets := map[string]string{}
		for _, resource := range answer.Resources {
			var one tlsv3.Secret
			check(resource.Resource.UnmarshalTo(&one))
			if one.Name != resource.Name || resource.Version == "" {
				check(fmt.Errorf("a resource that is called otherwise, or has no version: %s", resource.Name))
			}
			secrets[one.Name] = describe(&one)
		}
		say(map[string]any{"secrets": secrets, "removed": append([]string{}, answer.RemovedResources...)})
		ask, then = then, &discovery.DeltaDiscoveryRequest{TypeUrl: secretType}
		ask.ResponseNonce = answer.Nonce
	}
}

func main() {
	connection, err := grpc.NewClient("unix://"+os.Args[1], grpc.WithTransportCredentials(insecure.NewCredentials()))
	check(err)
	if len(os.Args) > 2 && os.Args[2] == "delta" {
		delta(secret.NewSecretDiscoveryServiceClient(connection), os.Args[3:])
	}
	names, later, refuse := []string{}, []string{}, false
	for _, name := range os.Args[2:] {
		switch {
		case name == "-":
			refuse = true
		case strings.HasPrefix(name, "!"):
			later = append(later, name[1:])
		default:
			names = append(names, name)
		}
	}
	stream, err := secret.NewSecretDiscoveryServiceClient(connection).StreamSecrets(context.Background())
	check(err)
	ask := &discovery.DiscoveryRequest{TypeUrl: secretType, ResourceNames: names}
	for {
		check(stream.Send(ask))
		answer, err := stream.Recv()
		check(err)
		secrets := map[string]string{}
		for _, resource := range answer.Resources {
			var one tlsv3.Secret
			check(resource.UnmarshalTo(&one))
			secrets[one.Name] = describe(&one)
		}
		say(map[string]any{"version": answer.VersionInfo, "secrets": secrets})
		ask = &discovery.DiscoveryRequest{
			TypeUrl: secretType, ResourceNames: names, VersionInfo: answer.VersionInfo, ResponseNonce: answer.Nonce,
		}
		if refuse {
			ask.VersionInfo, refuse = "", false
			ask.ErrorDetail = &status.Status{Code: 3, Message: "not today"}
		} else if len(later) > 0 {
			names, later = append(names, later...), nil
			ask.ResourceNames = names
		}
	}
}
