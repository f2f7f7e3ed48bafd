package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "example.com/inventory/gen/swit_saga/v1"
)

// Order is what the step "reserve" is given.
type Order struct {
	Product string  `json:"product"`
	Seconds float64 `json:"seconds"` // How long the reserving takes, >= 0.
}

// Inventory serves the commands: what they carry, and what is answered. Stock has the effects.
type Inventory struct {
	pb.UnimplementedParticipantServiceServer
	stock     *Stock
	executing InFlight[*pb.ExecuteResponse]
	undoing   InFlight[*pb.CompensateResponse]
}

// NewInventory has so many of each product.
func NewInventory(left map[string]int) *Inventory {
	return &Inventory{stock: NewStock(left)}
}

// Execute does the step, once for all that ask under its key.
func (i *Inventory) Execute(ctx context.Context, request *pb.ExecuteRequest) (*pb.ExecuteResponse, error) {
	command := request.GetCommand()
	if command.GetAction() != "reserve" {
		return rejected("UNKNOWN_ACTION", fmt.Sprintf("no action %q here", command.GetAction())), nil
	}
	return i.executing.Do(ctx, command.GetIdempotencyKey(), tell(command), func() (*pb.ExecuteResponse, error) {
		if late(command) {
			return nil, status.Error(codes.DeadlineExceeded, "came after its not_after; nothing was started")
		}
		return i.reserve(request)
	})
}

// Compensate undoes the step, or sees to it that it will not happen.
func (i *Inventory) Compensate(ctx context.Context, request *pb.CompensateRequest) (*pb.CompensateResponse, error) {
	command := request.GetCommand()
	if command.GetAction() != "reserve" {
		return nil, status.Error(codes.InvalidArgument, fmt.Sprintf("no action %q here", command.GetAction()))
	}
	// Its Execute may still run here, for a caller that has gone.
	if err := i.executing.Wait(ctx, request.GetExecuteIdempotencyKey()); err != nil {
		return nil, err
	}
	return i.undoing.Do(ctx, command.GetIdempotencyKey(), tell(command), func() (*pb.CompensateResponse, error) {
		if late(command) {
			return nil, status.Error(codes.DeadlineExceeded, "came after its not_after; nothing was started")
		}
		// Neither the output nor the certainty is needed: the key says all.
		i.stock.GiveBack(request.GetExecuteIdempotencyKey())
		return &pb.CompensateResponse{Answer: &pb.CompensateResponse_Completed{Completed: &pb.Completed{}}}, nil
	})
}

func (i *Inventory) reserve(request *pb.ExecuteRequest) (*pb.ExecuteResponse, error) {
	var order Order
	if err := json.Unmarshal([]byte(request.GetInput().GetText()), &order); err != nil {
		return rejected("UNDECODABLE_INPUT", err.Error()), nil
	}
	time.Sleep(time.Duration(order.Seconds * float64(time.Second)))
	hold, err := i.stock.Take(request.GetCommand().GetIdempotencyKey(), order.Product)
	var no *Refusal
	if errors.As(err, &no) {
		return rejected(no.Code, no.Message), nil // Certain: nothing was taken.
	}
	if err != nil {
		return nil, err // Unknown: asked again under the same key.
	}
	text, err := json.Marshal(hold)
	if err != nil {
		return nil, err
	}
	output := &pb.Payload{ContentType: "application/json", Data: &pb.Payload_Text{Text: string(text)}}
	return &pb.ExecuteResponse{Answer: &pb.ExecuteResponse_Completed{Completed: &pb.Completed{Output: output}}}, nil
}

func rejected(code, message string) *pb.ExecuteResponse {
	err := &pb.SagaError{Code: code, Message: message, Type: pb.ErrorType_ERROR_TYPE_BUSINESS}
	return &pb.ExecuteResponse{Answer: &pb.ExecuteResponse_Rejected{Rejected: &pb.Rejected{Error: err}}}
}

// late is whether the command must not be started any more.
func late(command *pb.CommandContext) bool {
	return command.GetNotAfter() != nil && time.Now().After(command.GetNotAfter().AsTime())
}

// tell prints one line for each command, for people: "began" or "joined", its key and its attempt.
func tell(command *pb.CommandContext) func(string) {
	return func(what string) {
		fmt.Printf("%s %s attempt %d\n", what, command.GetIdempotencyKey(), command.GetAttempt())
	}
}
