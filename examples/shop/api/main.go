// Command shop-api takes orders over HTTP and keeps them in PostgreSQL.
//
//	POST /orders        {"item": "coffee", "quantity": 2}  ->  201 {"id": 1, ...}
//	GET  /orders/{id}                                      ->  200 {"id": 1, ...} or 404
//	GET  /healthz                                          ->  200 once the orders table answers
//
// The connection is configured by libpq's own variables: PGHOST, PGDATABASE, PGUSER, PGPASSWORD.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const maxBody = 64 << 10

type order struct {
	ID       int64     `json:"id"`
	Item     string    `json:"item"`
	Quantity int       `json:"quantity"`
	PlacedAt time.Time `json:"placed_at"`
}

type shop struct{ orders *pgxpool.Pool }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	pool, err := pgxpool.New(ctx, "") // connects on first use, so the database may come up later
	if err != nil {
		log.Fatalf("cannot read the database settings from the environment: %v", err)
	}
	defer pool.Close()

	server := &http.Server{Addr: listenAddress(), Handler: (&shop{pool}).routes(), ReadHeaderTimeout: 5 * time.Second}
	go func() {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(grace)
	}()
	log.Printf("taking orders on %s", server.Addr)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatalf("cannot serve on %s: %v", server.Addr, err)
	}
}

func listenAddress() string {
	if address := os.Getenv("LISTEN"); address != "" {
		return address
	}
	return ":8080"
}

func (s *shop) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders", s.place)
	mux.HandleFunc("GET /orders/{id}", s.show)
	mux.HandleFunc("GET /healthz", s.health)
	return mux
}

func (s *shop) place(w http.ResponseWriter, r *http.Request) {
	var o order
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&o); err != nil || o.Item == "" || o.Quantity < 1 {
		fail(w, http.StatusBadRequest, `send {"item": "…", "quantity": 1}`)
		return
	}
	const insert = `INSERT INTO orders (item, quantity) VALUES ($1, $2) RETURNING id, placed_at`
	if err := s.orders.QueryRow(r.Context(), insert, o.Item, o.Quantity).Scan(&o.ID, &o.PlacedAt); err != nil {
		unavailable(w, err)
		return
	}
	w.Header().Set("Location", "/orders/"+strconv.FormatInt(o.ID, 10))
	answer(w, http.StatusCreated, o)
}

func (s *shop) show(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		fail(w, http.StatusBadRequest, "an order's id is a number")
		return
	}
	o := order{ID: id}
	const query = `SELECT item, quantity, placed_at FROM orders WHERE id = $1`
	switch err := s.orders.QueryRow(r.Context(), query, id).Scan(&o.Item, &o.Quantity, &o.PlacedAt); {
	case errors.Is(err, pgx.ErrNoRows):
		fail(w, http.StatusNotFound, "no such order")
	case err != nil:
		unavailable(w, err)
	default:
		answer(w, http.StatusOK, o)
	}
}

func (s *shop) health(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if _, err := s.orders.Exec(ctx, `SELECT FROM orders LIMIT 0`); err != nil {
		unavailable(w, err)
		return
	}
	answer(w, http.StatusOK, map[string]string{"status": "ok"})
}

func unavailable(w http.ResponseWriter, err error) {
	log.Printf("database: %v", err)
	fail(w, http.StatusServiceUnavailable, "the database does not answer")
}

func fail(w http.ResponseWriter, status int, text string) {
	answer(w, status, map[string]string{"error": text})
}

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}
