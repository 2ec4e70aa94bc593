package maintenance

import (
	"context"
	"net/http"
)

type Config struct {
	Page       string `json:"page"`
	RetryAfter string `json:"retryAfter"`
}

func CreateConfig() *Config { return &Config{} }

type answer struct{ config *Config }

func New(_ context.Context, _ http.Handler, config *Config, _ string) (http.Handler, error) {
	return &answer{config}, nil
}

func (a *answer) ServeHTTP(response http.ResponseWriter, _ *http.Request) {
	header := response.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("Retry-After", a.config.RetryAfter)
	response.WriteHeader(http.StatusServiceUnavailable)
	response.Write([]byte(a.config.Page))
}
