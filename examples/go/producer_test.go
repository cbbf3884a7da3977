package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// brokers runs the fake cluster of franz-go, with real ports of this machine.
func brokers(t *testing.T) string {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(2), kfake.SeedTopics(4, "llm.telemetry"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return strings.Join(cluster.ListenAddrs(), ",")
}

func built(t *testing.T) string {
	binary := filepath.Join(t.TempDir(), "producer")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return binary
}

// consumed returns the records of the topic from its beginning, once there are so many.
func consumed(t *testing.T, seeds string, count int) []*kgo.Record {
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(seeds, ",")...),
		kgo.ConsumeTopics("llm.telemetry"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var found []*kgo.Record
	for len(found) < count && ctx.Err() == nil {
		found = append(found, client.PollFetches(ctx).Records()...)
	}
	return found
}

func TestEachEventIsAMessageInThePartitionOfItsService(t *testing.T) {
	seeds := brokers(t)
	said, err := exec.Command(built(t), "-brokers", seeds, "-rate", "0").Output()
	if err != nil || !strings.HasPrefix(string(said), "sent 25, dropped 0") {
		t.Fatalf("%v: %s", err, said)
	}
	examples := map[string]int{}
	for _, record := range consumed(t, seeds, 25) {
		// Murmur2 of "chat-api" over 4 partitions, as the producer in Python has it too.
		if string(record.Key) != service || record.Partition != 2 {
			t.Errorf("key %s in partition %d", record.Key, record.Partition)
		}
		var event Event
		if err := json.Unmarshal(record.Value, &event); err != nil {
			t.Fatal(err)
		}
		examples[event.Metadata["example"]]++
	}
	want := "map[high_cost:1 high_latency:2 high_tokens:1 ordinary:20 suspicious_pattern:1]"
	if got := fmt.Sprint(examples); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestASignalEndsAContinuousRunAndNothingIsLost(t *testing.T) {
	seeds := brokers(t)
	command := exec.Command(built(t), "-brokers", seeds, "-continuous", "-rate", "2000")
	var said bytes.Buffer
	command.Stdout = &said
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err != nil {
		t.Fatalf("%v: %s", err, said.String())
	}
	var sent, dropped int
	if _, err := fmt.Sscanf(said.String(), "sent %d, dropped %d", &sent, &dropped); err != nil {
		t.Fatal(err)
	}
	if got := len(consumed(t, seeds, sent)); got != sent || dropped != 0 || sent < 500 {
		t.Errorf("consumed %d; %s", got, said.String())
	}
}

func TestBrokersThatAreNotThereAreAnError(t *testing.T) {
	command := exec.Command(built(t), "-brokers", "127.0.0.1:9", "-continuous")
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
	_ = command.Process.Signal(syscall.SIGTERM)
	began := time.Now()
	if err := command.Wait(); err == nil {
		t.Error("ended well")
	}
	if took := time.Since(began); took > closeTimeout+5*time.Second {
		t.Errorf("took %s", took)
	}
}
