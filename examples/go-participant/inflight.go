package main

import (
	"context"
	"fmt"
	"sync"
)

// InFlight has each piece of work done by one goroutine, however many ask for it at the same time.
//
// The work goes on when its callers leave: a connection that breaks must not stop an effect half-way, and the command
// comes again under the same key.
type InFlight[A any] struct {
	mutex   sync.Mutex
	running map[string]*work[A]
}

type work[A any] struct {
	done   chan struct{}
	answer A
	err    error
}

// Do begins the work, or joins what runs under its key. It tells "began" or "joined". The error is the work's, or ctx's.
func (f *InFlight[A]) Do(ctx context.Context, key string, tell func(string), begin func() (A, error)) (A, error) {
	f.mutex.Lock()
	running, joins := f.running[key]
	if !joins {
		running = &work[A]{done: make(chan struct{})}
		if f.running == nil {
			f.running = map[string]*work[A]{}
		}
		f.running[key] = running
		go f.run(key, running, begin)
	}
	f.mutex.Unlock()
	if joins {
		tell("joined")
	} else {
		tell("began")
	}
	select {
	case <-running.done:
		return running.answer, running.err
	case <-ctx.Done():
		var nothing A
		return nothing, ctx.Err()
	}
}

// Wait returns when nothing runs under this key, or with ctx's error.
func (f *InFlight[A]) Wait(ctx context.Context, key string) error {
	f.mutex.Lock()
	running, runs := f.running[key]
	f.mutex.Unlock()
	if !runs {
		return nil
	}
	select {
	case <-running.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *InFlight[A]) run(key string, running *work[A], begin func() (A, error)) {
	defer func() {
		if cause := recover(); cause != nil { // As an error it is unknown, and the process goes on.
			running.err = fmt.Errorf("the handler panicked: %v", cause)
		}
		f.mutex.Lock()
		delete(f.running, key)
		f.mutex.Unlock()
		close(running.done)
	}()
	running.answer, running.err = begin()
}
