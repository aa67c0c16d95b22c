// Command ledger verifies a ledger that lies in a directory, as a client that knows nothing of Writ but its public keys
// would: with the transparency log code of the Go project, and ML-DSA of Cloudflare's CIRCL.
//
// The directory holds the served files under their paths (checkpoint, tile/…), an earlier checkpoint in checkpoint.old,
// the verifier keys in keys (Ed25519, then ML-DSA-44), and receipts in receipts/*.tlog-proof.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cloudflare/circl/sign/mldsa/mldsa44"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: ledger DIRECTORY")
		os.Exit(2)
	}
	if err := verify(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type keys struct {
	ed25519 note.Verifier
	mldsa   *cosigner
}

func verify(dir string) error {
	known, err := readKeys(filepath.Join(dir, "keys"))
	if err != nil {
		return err
	}
	tree, err := openCheckpoint(read(dir, "checkpoint"), known)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	old, err := openCheckpoint(read(dir, "checkpoint.old"), known)
	if err != nil {
		return fmt.Errorf("checkpoint.old: %w", err)
	}
	// The reader verifies each tile against the root before it gives any hash of it.
	hashes := tlog.TileHashReader(tree, tileDir(dir))

	proof, err := tlog.ProveTree(tree.N, old.N, hashes)
	if err != nil {
		return fmt.Errorf("consistency: %w", err)
	}
	if err := tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash); err != nil {
		return fmt.Errorf("consistency: %w", err)
	}
	for n := int64(0); n*256 < tree.N; n++ {
		entries, err := readBundle(dir, n, min(256, tree.N-n*256))
		if err != nil {
			return err
		}
		for i, entry := range entries {
			index := n*256 + int64(i)
			proof, err := tlog.ProveRecord(tree.N, index, hashes)
			if err != nil {
				return fmt.Errorf("entry %d: %w", index, err)
			}
			if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry)); err != nil {
				return fmt.Errorf("entry %d: %w", index, err)
			}
		}
	}
	receipts, err := filepath.Glob(filepath.Join(dir, "receipts", "*.tlog-proof"))
	if err != nil {
		return err
	}
	for _, path := range receipts {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := checkReceipt(data, known); err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
	}
	fmt.Printf("verified %d entries, %d receipts, consistent with %d\n", tree.N, len(receipts), old.N)
	return nil
}

func readKeys(path string) (*keys, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	lines := strings.Fields(string(data))
	if len(lines) != 2 {
		return nil, errors.New("keys: not two lines")
	}
	verifier, err := note.NewVerifier(lines[0])
	if err != nil {
		return nil, err
	}
	cosigner, err := newCosigner(lines[1])
	if err != nil {
		return nil, err
	}
	return &keys{verifier, cosigner}, nil
}

// openCheckpoint demands both signatures of the log.
func openCheckpoint(msg []byte, known *keys) (tlog.Tree, error) {
	opened, err := note.Open(msg, note.VerifierList(known.ed25519, known.mldsa))
	if err != nil {
		return tlog.Tree{}, err
	}
	if len(opened.Sigs) != 2 {
		return tlog.Tree{}, errors.New("not both signatures")
	}
	return parseTree(opened.Text)
}

func parseTree(text string) (tlog.Tree, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		return tlog.Tree{}, errors.New("not three lines")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

// A cosigner verifies c2sp.org/tlog-cosignature with ML-DSA-44.
type cosigner struct {
	name string
	hash uint32
	key  *mldsa44.PublicKey
}

func newCosigner(vkey string) (*cosigner, error) {
	name, rest, _ := strings.Cut(vkey, "+")
	id, material, _ := strings.Cut(rest, "+")
	hash, err := strconv.ParseUint(id, 16, 32)
	if err != nil {
		return nil, err
	}
	raw, err := base64.StdEncoding.DecodeString(material)
	if err != nil || len(raw) == 0 || raw[0] != 0x06 {
		return nil, errors.New("not an ML-DSA-44 cosigner key")
	}
	key := new(mldsa44.PublicKey)
	if err := key.UnmarshalBinary(raw[1:]); err != nil {
		return nil, err
	}
	return &cosigner{name, uint32(hash), key}, nil
}

func (c *cosigner) Name() string    { return c.name }
func (c *cosigner) KeyHash() uint32 { return c.hash }

func (c *cosigner) Verify(msg, sig []byte) bool {
	if len(sig) != 8+mldsa44.SignatureSize {
		return false
	}
	tree, err := parseTree(string(msg))
	if err != nil {
		return false
	}
	origin, _, _ := strings.Cut(string(msg), "\n")
	signed := []byte("subtree/v1\n\x00")
	signed = append(signed, byte(len(c.name)))
	signed = append(signed, c.name...)
	signed = append(signed, sig[:8]...)
	signed = append(signed, byte(len(origin)))
	signed = append(signed, origin...)
	signed = binary.BigEndian.AppendUint64(signed, 0)
	signed = binary.BigEndian.AppendUint64(signed, uint64(tree.N))
	signed = append(signed, tree.Hash[:]...)
	return mldsa44.Verify(c.key, signed, nil, sig[8:])
}

// checkReceipt verifies c2sp.org/tlog-proof; the entry is in its extra line.
func checkReceipt(data []byte, known *keys) error {
	head, checkpoint, found := bytes.Cut(data, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	if !found || len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return errors.New("not a tlog-proof")
	}
	entry, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[1], "extra "))
	if err != nil {
		return err
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64)
	if err != nil {
		return err
	}
	var proof tlog.RecordProof
	for _, line := range lines[3:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return err
		}
		proof = append(proof, hash)
	}
	tree, err := openCheckpoint(checkpoint, known)
	if err != nil {
		return err
	}
	return tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry))
}

func readBundle(dir string, n, width int64) ([][]byte, error) {
	path := resourcePath("entries", n, int(width))
	rest := read(dir, path)
	var entries [][]byte
	for len(rest) >= 2 {
		length := int(binary.BigEndian.Uint16(rest))
		if len(rest) < 2+length {
			return nil, fmt.Errorf("%s: ends inside an entry", path)
		}
		entries = append(entries, rest[2:2+length])
		rest = rest[2+length:]
	}
	if int64(len(entries)) != width || len(rest) != 0 {
		return nil, fmt.Errorf("%s: not %d entries", path, width)
	}
	return entries, nil
}

// A tileDir reads c2sp.org/tlog-tiles, whose paths leave out the height.
type tileDir string

func (d tileDir) Height() int                             { return 8 }
func (d tileDir) SaveTiles(tiles []tlog.Tile, _ [][]byte) {}
func (d tileDir) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		data, err := os.ReadFile(filepath.Join(string(d), resourcePath(strconv.Itoa(tile.L), tile.N, tile.W)))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

func resourcePath(level string, n int64, width int) string {
	path := strings.TrimPrefix(tlog.Tile{H: 8, L: 0, N: n, W: width}.Path(), "tile/8/0/")
	return "tile/" + level + "/" + path
}

func read(dir, path string) []byte {
	data, err := os.ReadFile(filepath.Join(dir, path))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return data
}
