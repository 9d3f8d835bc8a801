package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// startTimeout is how long a server may take to be ready.
const startTimeout = time.Minute

// Server is one process under test.
type Server struct {
	// Address is host:port.
	Address string
	cmd     *exec.Cmd
}

func (r *Rig) start(ctx context.Context, c *exec.Cmd, address string) (*Server, error) {
	c.Stdout, c.Stderr = io.Discard, os.Stderr
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = 15 * time.Second
	if err := c.Start(); err != nil {
		return nil, err
	}
	s := &Server{Address: address, cmd: c}
	r.servers = append(r.servers, s)
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", nil)
		if err != nil {
			return nil, err
		}
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return s, nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%s was not ready in time: %w", c.Path, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Call posts in as JSON and decodes the answer into out. What is no 200 is an
// error with the answer as its text.
func (s *Server) Call(ctx context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.Address+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, bytes.TrimSpace(answer))
	}
	return json.Unmarshal(answer, out)
}

// Stop ends the process in an orderly way.
func (s *Server) Stop() error { return s.end(syscall.SIGTERM) }

// Kill ends the process with kill -9.
func (s *Server) Kill() error { return s.end(syscall.SIGKILL) }

func (s *Server) end(signal os.Signal) error {
	if s.cmd.ProcessState != nil {
		return nil
	}
	if err := s.cmd.Process.Signal(signal); err != nil {
		return err
	}
	_ = s.cmd.Wait() // how it ended says nothing about what was measured
	return nil
}

// Resident is the process's resident memory in bytes, as the kernel counts it.
func (s *Server) Resident(ctx context.Context) (int64, error) {
	out, err := exec.CommandContext(ctx, "ps", "-o", "rss=", "-p", strconv.Itoa(s.cmd.Process.Pid)).Output()
	if err != nil {
		return 0, fmt.Errorf("read resident memory: %w", err)
	}
	kib, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read resident memory: %w", err)
	}
	return kib << 10, nil
}

// CPU is the processor time that the process has used so far.
func (s *Server) CPU() (time.Duration, error) { return treeCPU(s.cmd.Process.Pid) }

// Peak is the most resident memory in bytes that the process had since it
// began, or since [Server.ResetPeak].
func (s *Server) Peak() (int64, error) { return peak(s.cmd.Process.Pid) }

// ResetPeak has [Server.Peak] begin anew with what is resident now.
func (s *Server) ResetPeak() error { return resetPeak(s.cmd.Process.Pid) }

func freeAddress(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
