// A participant in TypeScript, on a gRPC server with the settings it comes with.
import { Server, ServerCredentials } from "@grpc/grpc-js";

import { ParticipantServiceService } from "./gen/swit_saga/v1/participant_service.js";
import { Inventory } from "./inventory.js";

const listen = process.argv[2] ?? "127.0.0.1:50054";
const server = new Server();
server.addService(ParticipantServiceService, new Inventory({ apple: 1 }).handlers());
server.bindAsync(listen, ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) throw error;
  console.log(`participant inventory on port ${port}`);
});

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  // Takes nothing new, and waits for the calls under way.
  process.once(signal, () => server.tryShutdown(() => process.exit(0)));
}
