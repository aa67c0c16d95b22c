// Reads the revocation feed with Go's gRPC client, from the published .proto file alone: follows it, acknowledges, and
// comes back. One JSON value a line: {"kind":"hello"|"entry"|"heartbeat"|"behind"|"acknowledged"|"page", …}.
//
//	feed PROTO_DIRECTORY ADDRESS ROOTS CHAIN KEY SPIFFE_ID POINT [LOG POSITION]
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/bufbuild/protocompile"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

var service protoreflect.ServiceDescriptor

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	compiler := protocompile.Compiler{Resolver: &protocompile.SourceResolver{ImportPaths: []string{args[0]}}}
	files, err := compiler.Compile(context.Background(), "writ/feed/v1/feed.proto")
	if err != nil {
		return err
	}
	service = files[0].Services().ByName("RevocationFeed")
	config, err := tlsConfig(args[2], args[3], args[4], args[5])
	if err != nil {
		return err
	}
	conn, err := grpc.NewClient(args[1], grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()

	page, err := call(ctx, conn, "ListEntries", map[string]any{"after": "0"})
	if err != nil {
		return err
	}
	if err := say("page", page); err != nil {
		return err
	}
	request := map[string]any{"point": args[6]}
	if len(args) == 9 {
		request["after"] = map[string]any{"log": args[7], "position": args[8]}
	}
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, path("Follow"))
	if err != nil {
		return err
	}
	asked, err := message("Follow", request)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(asked); err != nil {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	log := "0"
	for {
		event := dynamicpb.NewMessage(service.Methods().ByName("Follow").Output())
		if err := stream.RecvMsg(event); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(event)
		if err != nil {
			return err
		}
		var told map[string]json.RawMessage
		if err := json.Unmarshal(text, &told); err != nil {
			return err
		}
		for kind, value := range told {
			if err := say(kind, value); err != nil {
				return err
			}
			if kind == "hello" {
				var hello struct{ Log string }
				if err := json.Unmarshal(value, &hello); err != nil {
					return err
				}
				log = hello.Log
			}
			if kind == "entries" {
				var all struct{ Entries []struct{ Position string } }
				if err := json.Unmarshal(value, &all); err != nil {
					return err
				}
				last := all.Entries[len(all.Entries)-1].Position
				acks := []any{map[string]any{"position": last}}
				done, err := call(ctx, conn, "Acknowledge", map[string]any{"point": args[6], "log": log, "acks": acks})
				if err != nil {
					return err
				}
				if err := say("acknowledged", done); err != nil {
					return err
				}
			}
		}
	}
}

func path(method string) string {
	return "/" + string(service.FullName()) + "/" + method
}

func message(method string, value map[string]any) (*dynamicpb.Message, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	made := dynamicpb.NewMessage(service.Methods().ByName(protoreflect.Name(method)).Input())
	return made, protojson.Unmarshal(text, made)
}

func call(ctx context.Context, conn *grpc.ClientConn, method string, value map[string]any) (json.RawMessage, error) {
	asked, err := message(method, value)
	if err != nil {
		return nil, err
	}
	answer := dynamicpb.NewMessage(service.Methods().ByName(protoreflect.Name(method)).Output())
	if err := conn.Invoke(ctx, path(method), asked, answer); err != nil {
		return nil, err
	}
	return protojson.MarshalOptions{UseProtoNames: true}.Marshal(answer)
}

func say(kind string, value json.RawMessage) error {
	line, err := json.Marshal(map[string]any{"kind": kind, "value": value})
	if err != nil {
		return err
	}
	_, err = fmt.Println(string(line))
	return err
}

// Mutual TLS in which the server is who its SPIFFE ID says, whatever its host name.
func tlsConfig(roots, chain, key, id string) (*tls.Config, error) {
	pem, err := os.ReadFile(roots)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	own, err := tls.LoadX509KeyPair(chain, key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		Certificates:       []tls.Certificate{own},
		InsecureSkipVerify: true, // by name alone: the chain is verified below
		VerifyConnection: func(state tls.ConnectionState) error {
			intermediates := x509.NewCertPool()
			for _, one := range state.PeerCertificates[1:] {
				intermediates.AddCert(one)
			}
			leaf := state.PeerCertificates[0]
			if _, err := leaf.Verify(x509.VerifyOptions{Roots: pool, Intermediates: intermediates}); err != nil {
				return err
			}
			if len(leaf.URIs) != 1 || leaf.URIs[0].String() != id {
				return fmt.Errorf("the server is %s", strconv.Quote(fmt.Sprint(leaf.URIs)))
			}
			return nil
		},
	}, nil
}
