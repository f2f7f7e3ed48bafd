// The commands: what they carry, and what is answered. stock.ts has the effects.
import { setTimeout as sleep } from "node:timers/promises";

import { type sendUnaryData, type ServerUnaryCall, status } from "@grpc/grpc-js";

import type { CommandContext } from "./gen/swit_saga/v1/command.js";
import { ErrorType } from "./gen/swit_saga/v1/error.js";
import {
  type CompensateRequest,
  CompensateResponse,
  type ExecuteRequest,
  ExecuteResponse,
  type ParticipantServiceServer,
} from "./gen/swit_saga/v1/participant_service.js";
import { InFlight } from "./inflight.js";
import { Refusal, Stock } from "./stock.js";

/** What ends a call with a status of gRPC. */
class Status extends Error {
  constructor(readonly code: status, readonly details: string) {
    super(details);
  }
}

export class Inventory {
  readonly #stock: Stock;
  readonly #executing = new InFlight<ExecuteResponse>();
  readonly #undoing = new InFlight<CompensateResponse>();

  /** So many of each product are left. */
  constructor(left: Record<string, number>) {
    this.#stock = new Stock(left);
  }

  /** For Server.addService. */
  handlers(): ParticipantServiceServer {
    return {
      execute: (call, answer) => reply(this.#execute(call), answer),
      compensate: (call, answer) => reply(this.#compensate(call), answer),
    };
  }

  /** Does the step, once for all that ask under its key. */
  async #execute({ request }: ServerUnaryCall<ExecuteRequest, ExecuteResponse>): Promise<ExecuteResponse> {
    const command = commandOf(request);
    if (command.action !== "reserve") return rejected("UNKNOWN_ACTION", `no action "${command.action}" here`);
    return this.#executing.do(command.idempotencyKey, tell(command), () => {
      refuseLate(command);
      return this.#reserve(command, request);
    });
  }

  /** Undoes the step, or sees to it that it will not happen. */
  async #compensate({
    request,
  }: ServerUnaryCall<CompensateRequest, CompensateResponse>): Promise<CompensateResponse> {
    const command = commandOf(request);
    if (command.action !== "reserve") throw new Status(status.INVALID_ARGUMENT, `no action "${command.action}" here`);
    // Its Execute may still run here, for a caller that has gone.
    await this.#executing.ended(request.executeIdempotencyKey);
    return this.#undoing.do(command.idempotencyKey, tell(command), async () => {
      refuseLate(command);
      // Neither the output nor the certainty is needed: the key says all.
      this.#stock.giveBack(request.executeIdempotencyKey);
      return CompensateResponse.fromPartial({ answer: { $case: "completed", value: {} } });
    });
  }

  async #reserve(command: CommandContext, request: ExecuteRequest): Promise<ExecuteResponse> {
    const order = orderOf(request);
    if (order === undefined) return rejected("UNDECODABLE_INPUT", "an order has a product and seconds");
    await sleep(order.seconds * 1000);
    try {
      const hold = this.#stock.take(command.idempotencyKey, order.product);
      const output = {
        contentType: "application/json",
        data: { $case: "text" as const, value: JSON.stringify(hold) },
      };
      return ExecuteResponse.fromPartial({ answer: { $case: "completed", value: { output } } });
    } catch (error) {
      if (error instanceof Refusal) return rejected(error.code, error.message); // Certain: nothing was taken.
      throw error; // Unknown: asked again under the same key.
    }
  }
}

/** Answers a call with what a promise comes to. Whatever is thrown ends it with a status, and never the process. */
function reply<A>(result: Promise<A>, answer: sendUnaryData<A>): void {
  result.then(
    (value) => answer(null, value),
    (error: unknown) =>
      answer(error instanceof Status ? { code: error.code, details: error.details } : { code: status.UNKNOWN, details: String(error) }),
  );
}

function commandOf(request: ExecuteRequest | CompensateRequest): CommandContext {
  if (request.command === undefined) throw new Status(status.INVALID_ARGUMENT, "no command");
  return request.command;
}

function refuseLate(command: CommandContext): void {
  if (command.notAfter !== undefined && Date.now() > command.notAfter.getTime()) {
    throw new Status(status.DEADLINE_EXCEEDED, "came after its not_after; nothing was started");
  }
}

function orderOf(request: ExecuteRequest): { product: string; seconds: number } | undefined {
  if (request.input?.data?.$case !== "text") return undefined;
  try {
    const order: unknown = JSON.parse(request.input.data.value);
    if (typeof order !== "object" || order === null) return undefined;
    const { product, seconds } = order as Record<string, unknown>;
    return typeof product === "string" && typeof seconds === "number" ? { product, seconds } : undefined;
  } catch {
    return undefined;
  }
}

function rejected(code: string, message: string): ExecuteResponse {
  const error = { code, message, type: ErrorType.ERROR_TYPE_BUSINESS };
  return ExecuteResponse.fromPartial({ answer: { $case: "rejected", value: { error } } });
}

/** Prints one line for each command, for people: "began" or "joined", its key and its attempt. */
function tell(command: CommandContext): (what: string) => void {
  return (what) => console.log(`${what} ${command.idempotencyKey} attempt ${command.attempt}`);
}
