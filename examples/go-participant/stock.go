package main

import (
	"fmt"
	"sync"
)

// Hold is what "reserve" returns.
type Hold struct {
	Key     string `json:"key"`
	Product string `json:"product"`
	Left    int    `json:"left"`
}

// Refusal is a certain no: nothing was done.
type Refusal struct{ Code, Message string }

func (r *Refusal) Error() string { return fmt.Sprintf("%s: %s", r.Code, r.Message) }

// Stock has the effects, and the keys under which they were made.
//
// It is in memory, and so forgets both together. A real one keeps them in one database, and writes a key in the
// transaction of its effect.
type Stock struct {
	mutex sync.Mutex
	left  map[string]int
	holds map[string]*Hold // By the Execute's key; nil: undone, or never to be done.
}

// NewStock has so many of each product.
func NewStock(left map[string]int) *Stock {
	return &Stock{left: left, holds: map[string]*Hold{}}
}

// Take holds one. Asked again under the same key, it answers as before. The error is a *Refusal.
func (s *Stock) Take(key, product string) (Hold, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	hold, known := s.holds[key]
	switch {
	case known && hold == nil:
		return Hold{}, &Refusal{"UNDONE", "its compensation came first"}
	case known:
		return *hold, nil
	case s.left[product] == 0:
		return Hold{}, &Refusal{"OUT_OF_STOCK", fmt.Sprintf("no %s left", product)}
	}
	s.left[product]--
	s.holds[key] = &Hold{Key: key, Product: product, Left: s.left[product]}
	return *s.holds[key], nil
}

// GiveBack undoes Take. It leaves a mark, so that a Take that comes later is refused; again, it changes nothing.
func (s *Stock) GiveBack(key string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if hold := s.holds[key]; hold != nil {
		s.left[hold.Product]++
	}
	s.holds[key] = nil
}
