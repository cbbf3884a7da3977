// An application that tells LLM-Sentinel of its calls of a model; the calls are made up.
//
//	producer -brokers localhost:9092      20 ordinary calls, then 5 anomalous ones
//	producer -url http://127.0.0.1:8080   the same by HTTP, past Kafka
//	producer -continuous -rate 0          until SIGINT or SIGTERM, as fast as it goes
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	service   = "chat-api"
	model     = "gpt-4"
	promptUSD = 30e-6 // by the token
	answerUSD = 60e-6

	waiting      = 10_000  // events that may wait to be sent
	batchBytes   = 1 << 20 // of one HTTP request; the service takes 10 MiB
	linger       = 100 * time.Millisecond
	closeTimeout = 5 * time.Second
)

var kinds = []string{"high_latency", "high_tokens", "high_cost", "suspicious_pattern"}

// Event is one call of a model, in the nested form of the telemetry reference.
type Event struct {
	EventID     string            `json:"event_id"`
	Timestamp   time.Time         `json:"timestamp"` // the end of the call
	ServiceName string            `json:"service_name"`
	Model       string            `json:"model"`
	Prompt      Prompt            `json:"prompt"`
	Response    Response          `json:"response"`
	LatencyMS   float64           `json:"latency_ms"`
	CostUSD     float64           `json:"cost_usd"`
	UserID      string            `json:"user_id"`
	SessionID   string            `json:"session_id"`
	Metadata    map[string]string `json:"metadata"`
}

// Prompt is what was asked.
type Prompt struct {
	Tokens int `json:"tokens"`
}

// Response is what came back.
type Response struct {
	Tokens       int    `json:"tokens"`
	FinishReason string `json:"finish_reason"`
}

// around returns a number near another, lognormal as counts and times of models are.
func around(median, sigma float64) float64 {
	return median * math.Exp(mathrand.NormFloat64()*sigma)
}

// newID returns a random UUID. An event that is sent again keeps its id, and is judged once.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	s := hex.EncodeToString(b[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// call returns the event of a call, ordinary or anomalous in one way.
func call(kind string) Event {
	prompt, answer := int(around(400, 0.2)), int(around(150, 0.2))
	latency := around(300+12*float64(answer), 0.1)
	user, finish, price := "user-"+strconv.Itoa(mathrand.IntN(200)), "stop", 1.0
	switch kind {
	case "high_latency":
		latency *= 15
	case "high_tokens":
		prompt, answer = prompt*20, answer*20
	case "high_cost":
		price = 25
	case "suspicious_pattern": // somebody sends long prompts, and the filter cuts the answers
		prompt, answer, user, finish = prompt*12, 2, "user-1337", "content_filter"
	default:
		kind = "ordinary"
	}
	return Event{
		EventID:     newID(),
		Timestamp:   time.Now().UTC(),
		ServiceName: service,
		Model:       model,
		Prompt:      Prompt{prompt},
		Response:    Response{answer, finish},
		LatencyMS:   latency,
		CostUSD:     (float64(prompt)*promptUSD + float64(answer)*answerUSD) * price,
		UserID:      user,
		SessionID:   "session-" + user,
		Metadata:    map[string]string{"example": kind},
	}
}

// A sink takes events and sends them in the background.
type sink interface {
	// send waits for room, until ctx is done; false: there was none.
	send(ctx context.Context, body []byte) bool
	// close sends what waits, until ctx is done.
	close(ctx context.Context)
}

type tally struct{ sent, dropped atomic.Int64 }

// drop counts events that are lost, and says why for the first.
func (t *tally) drop(count int, why error) {
	if t.dropped.Add(int64(count)) == int64(count) {
		log.Printf("dropped: %v", why)
	}
}

// kafka sends to Kafka: acknowledged by all replicas and idempotent, as franz-go does by itself.
// The key is the service. The Python producer hashes it in the same way (murmur2), so that all
// events of a service meet in one partition, where they are judged together.
type kafka struct {
	*tally
	client *kgo.Client
}

func newKafka(brokers, topic string, t *tally) (*kafka, error) {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(brokers, ",")...),
		kgo.DefaultProduceTopic(topic),
		kgo.MaxBufferedRecords(waiting),
		kgo.ProducerLinger(10*time.Millisecond),
		kgo.AllowAutoTopicCreation(),
	)
	return &kafka{t, client}, err
}

func (k *kafka) send(ctx context.Context, body []byte) bool {
	for k.client.BufferedProduceRecords() >= waiting {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(time.Millisecond):
		}
	}
	record := &kgo.Record{Key: []byte(service), Value: body}
	k.client.Produce(context.Background(), record, func(_ *kgo.Record, err error) {
		if err != nil {
			k.drop(1, err)
		} else {
			k.sent.Add(1)
		}
	})
	return true
}

func (k *kafka) close(ctx context.Context) {
	if err := k.client.Flush(ctx); err != nil {
		log.Printf("not flushed: %v", err)
	}
	k.client.Close() // what is left fails, and is counted
}

// web sends to the service: NDJSON, and again under the same ids until it says that it has them.
type web struct {
	*tally
	url, key string
	events   chan []byte
	done     sync.WaitGroup
	ctx      context.Context // done: there is no time for another attempt
	giveUp   context.CancelFunc
}

func newWeb(url, key string, t *tally) *web {
	ctx, cancel := context.WithCancel(context.Background())
	w := &web{tally: t, url: strings.TrimRight(url, "/") + "/api/v1/events", key: key,
		events: make(chan []byte, waiting), ctx: ctx, giveUp: cancel}
	w.done.Go(w.run)
	return w
}

func (w *web) send(ctx context.Context, body []byte) bool {
	select {
	case <-ctx.Done():
		return false
	case w.events <- body:
		return true
	}
}

func (w *web) close(ctx context.Context) {
	stop := context.AfterFunc(ctx, w.giveUp)
	defer stop()
	close(w.events)
	w.done.Wait()
}

func (w *web) run() {
	for first := range w.events {
		batch, count := append(first, '\n'), 1
		due := time.After(linger)
	collect:
		for len(batch) < batchBytes {
			select {
			case body, open := <-w.events:
				if !open {
					break collect
				}
				batch, count = append(append(batch, body...), '\n'), count+1
			case <-due:
				break collect
			}
		}
		w.deliver(batch, count)
	}
}

func (w *web) deliver(batch []byte, count int) {
	for pause := 250 * time.Millisecond; ; pause = min(2*pause, 30*time.Second) {
		accepted, later, err := w.post(batch)
		if later < 0 {
			w.sent.Add(int64(accepted))
			if accepted < count {
				w.drop(count-accepted, err)
			}
			return
		}
		select {
		case <-time.After(max(later, time.Duration(mathrand.Int64N(int64(pause))))):
		case <-w.ctx.Done():
			w.drop(count, err)
			return
		}
	}
}

// post returns how many events were taken, and after which time to try again; negative: never.
func (w *web) post(batch []byte) (accepted int, later time.Duration, err error) {
	request, err := http.NewRequestWithContext(w.ctx, "POST", w.url, bytes.NewReader(batch))
	if err != nil {
		return 0, -1, err
	}
	request.Header.Set("Content-Type", "application/x-ndjson")
	if w.key != "" {
		request.Header.Set("X-API-Key", w.key)
	}
	answer, err := client.Do(request)
	if err != nil {
		return 0, 0, err
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, 0, err
	}
	switch answer.StatusCode {
	case 200, 202:
		var receipt struct{ Accepted int }
		err = json.Unmarshal(said, &receipt)
		return receipt.Accepted, -1, errors.Join(err, fmt.Errorf("refused: %.200s", said))
	case 408, 429, 502, 503, 504:
		seconds, _ := strconv.Atoi(answer.Header.Get("Retry-After"))
		return 0, time.Duration(seconds) * time.Second, errors.New(answer.Status)
	}
	return 0, -1, fmt.Errorf("%s: %.200s", answer.Status, said)
}

var client = &http.Client{Timeout: 10 * time.Second}

func main() {
	brokers := flag.String("brokers", "localhost:9092", "of Kafka")
	topic := flag.String("topic", "llm.telemetry", "of Kafka")
	url := flag.String("url", "", "of the service: HTTP instead of Kafka")
	normal := flag.Int("normal-events", 20, "ordinary calls")
	anomalous := flag.Int("anomalous-events", 5, "anomalous calls")
	continuous := flag.Bool("continuous", false, "until a signal, one call in 20 anomalous")
	rate := flag.Float64("rate", 100, "calls a second, 0: all at once")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	var count tally
	var out sink
	if *url != "" {
		out = newWeb(*url, os.Getenv("SENTINEL_KEY"), &count)
	} else {
		to, err := newKafka(*brokers, *topic, &count)
		if err != nil {
			log.Fatal(err)
		}
		out = to
	}

	began := time.Now()
	given := int64(0)
	for number := 0; ctx.Err() == nil && (*continuous || number < *normal+*anomalous); number++ {
		kind := ""
		if *continuous && number%20 == 19 {
			kind = kinds[number/20%len(kinds)]
		} else if !*continuous && number >= *normal {
			kind = kinds[(number-*normal)%len(kinds)]
		}
		body, err := json.Marshal(call(kind))
		if err != nil {
			log.Fatal(err)
		}
		if out.send(ctx, body) {
			given++
		}
		if *rate > 0 {
			next := began.Add(time.Duration(float64(number+1) / *rate * float64(time.Second)))
			select {
			case <-ctx.Done():
			case <-time.After(time.Until(next)):
			}
		}
	}
	closing, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	out.close(closing)
	sent := count.sent.Load()
	fmt.Printf("sent %d, dropped %d, %.0f a second\n",
		sent, given-sent, float64(sent)/time.Since(began).Seconds())
	if sent < given {
		cancel()
		os.Exit(1)
	}
}
