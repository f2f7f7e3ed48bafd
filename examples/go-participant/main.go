// A participant in Go, on a gRPC server with the settings it comes with.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"

	"google.golang.org/grpc"

	pb "example.com/inventory/gen/swit_saga/v1"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:50053", "host:port to listen on")
	flag.Parse()
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	pb.RegisterParticipantServiceServer(server, NewInventory(map[string]int{"apple": 1}))

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	go func() {
		<-stop
		server.GracefulStop() // Takes nothing new, and waits for the calls under way.
	}()
	fmt.Printf("participant inventory on port %d\n", listener.Addr().(*net.TCPAddr).Port)
	if err := server.Serve(listener); err != nil {
		log.Fatal(err)
	}
}
