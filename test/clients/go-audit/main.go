// Checks an audit log of Stagedoor with libraries that know only C2SP's formats.
//
//	audit -prefix URL | -directory DIR -key VKEY [-proof FILE -event FILE]… [EARLIER-CHECKPOINT…]
//
// It opens the checkpoint with two parsers, hashes every entry again, and proves entries and earlier checkpoints with the
// tiles of the log. It prints what it checked, or fails.
package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"

	"filippo.io/torchwood"
	formats "github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type counts struct {
	Entries    int64 `json:"entries"`
	Inclusions int   `json:"inclusions"`
	Prefixes   int   `json:"prefixes"`
	Proofs     int   `json:"proofs"`
}

type withKey struct{ secretKey string }

func (w withKey) RoundTrip(r *http.Request) (*http.Response, error) {
	if w.secretKey != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+w.secretKey)
	}
	return http.DefaultTransport.RoundTrip(r)
}

func main() {
	directory := flag.String("directory", "", "exported log")
	prefix := flag.String("prefix", "", "URL of a log, with STAGEDOOR_SECRET_KEY if it needs one")
	vkey := flag.String("key", "", "verifier key of the log")
	proofFile := flag.String("proof", "", "a .tlog-proof file")
	eventFile := flag.String("event", "", "the text of its event")
	inclusions := flag.Int64("inclusions", 100, "how many entries to prove")
	flag.Parse()

	url := *prefix
	if *directory != "" {
		files := httptest.NewServer(http.FileServer(http.Dir(*directory)))
		defer files.Close()
		url = files.URL
	}
	client := &http.Client{Transport: withKey{os.Getenv("STAGEDOOR_SECRET_KEY")}}
	fetcher := must(torchwood.NewTileFetcher(url, torchwood.WithHTTPClient(client)))
	verifier := must(note.NewVerifier(*vkey))
	ctx := context.Background()

	tree := openCheckpoint(must(fetcher.ReadEndpoint(ctx, "checkpoint")), verifier)
	var c counts
	leaves := hashEntries(ctx, fetcher, tree)
	c.Entries = int64(len(leaves))

	reader := torchwood.TileHashReaderWithContext(ctx, tree, fetcher)
	step := max(1, tree.N/max(1, *inclusions))
	for i := int64(0); i < tree.N; i += step {
		path := must(tlog.ProveRecord(tree.N, i, reader))
		check(tlog.CheckRecord(path, tree.N, tree.Hash, i, leaves[i]))
		check(proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(i), uint64(tree.N), leaves[i][:], slices(path), tree.Hash[:]))
		c.Inclusions++
	}
	for _, file := range flag.Args() {
		earlier := openCheckpoint(must(os.ReadFile(file)), verifier)
		path := must(tlog.ProveTree(tree.N, earlier.N, reader))
		check(tlog.CheckTree(path, tree.N, tree.Hash, earlier.N, earlier.Hash))
		check(proof.VerifyConsistency(rfc6962.DefaultHasher, uint64(earlier.N), uint64(tree.N), slices(path), earlier.Hash[:], tree.Hash[:]))
		c.Prefixes++
	}
	if *proofFile != "" {
		checkProof(string(must(os.ReadFile(*proofFile))), must(os.ReadFile(*eventFile)), verifier)
		c.Proofs++
	}
	check(json.NewEncoder(os.Stdout).Encode(c))
}

// openCheckpoint opens a checkpoint with Go's own parser and with that of transparency-dev, which must agree.
func openCheckpoint(signed []byte, verifier note.Verifier) tlog.Tree {
	opened := must(note.Open(signed, note.VerifierList(verifier)))
	one := must(torchwood.ParseCheckpoint(opened.Text))
	other, _, _, err := formats.ParseCheckpoint(signed, verifier.Name(), verifier)
	check(err)
	if one.Origin != verifier.Name() || uint64(one.N) != other.Size || !bytes.Equal(one.Hash[:], other.Hash) {
		log.Fatalf("the parsers disagree about %q", opened.Text)
	}
	return one.Tree
}

// hashEntries hashes all entries and compares the root with that of the checkpoint.
func hashEntries(ctx context.Context, fetcher *torchwood.TileFetcher, tree tlog.Tree) []tlog.Hash {
	client := must(torchwood.NewClient(fetcher))
	root := (&compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}).NewEmptyRange(0)
	var leaves []tlog.Hash
	add := func(entry []byte) {
		leaf := tlog.RecordHash(entry)
		leaves = append(leaves, leaf)
		check(root.Append(rfc6962.DefaultHasher.HashLeaf(entry), nil))
	}
	for _, entry := range client.Entries(ctx, tree, 0) {
		add(entry)
	}
	check(client.Err())
	// The client stops at the last full bundle.
	if rest := tree.N - int64(len(leaves)); rest > 0 {
		tile := tlog.Tile{H: torchwood.TileHeight, L: -1, N: tree.N / 256, W: int(tree.N % 256)}
		for bundle := must(fetcher.ReadEndpoint(ctx, torchwood.TilePath(tile))); len(bundle) > 0; {
			entry, rest, err := torchwood.ReadTileEntry(bundle)
			check(err)
			add(entry)
			bundle = rest
		}
	}
	hash := must(root.GetRootHash(nil))
	if int64(len(leaves)) != tree.N || !bytes.Equal(hash, tree.Hash[:]) {
		log.Fatalf("%d entries have another root than the checkpoint of %d", len(leaves), tree.N)
	}
	return leaves
}

// checkProof checks a .tlog-proof file (c2sp.org/tlog-proof).
func checkProof(text string, event []byte, verifier note.Verifier) {
	head, checkpoint, _ := strings.Cut(text, "\n\n")
	tree := openCheckpoint([]byte(checkpoint), verifier)
	lines := strings.Split(head, "\n")
	if lines[0] != "c2sp.org/tlog-proof@v1" {
		log.Fatalf("unknown header %q", lines[0])
	}
	lines = lines[1:]
	if strings.HasPrefix(lines[0], "extra ") {
		lines = lines[1:]
	}
	index := must(strconv.ParseUint(strings.TrimPrefix(lines[0], "index "), 10, 63))
	var path [][]byte
	for _, line := range lines[1:] {
		path = append(path, must(base64.StdEncoding.DecodeString(line)))
	}
	leaf := rfc6962.DefaultHasher.HashLeaf(event)
	check(proof.VerifyInclusion(rfc6962.DefaultHasher, index, uint64(tree.N), leaf, path, tree.Hash[:]))
}

func slices[P ~[]tlog.Hash](path P) [][]byte {
	list := make([][]byte, len(path))
	for i := range path {
		list[i] = path[i][:]
	}
	return list
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
