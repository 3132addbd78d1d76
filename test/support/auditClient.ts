/** AuditService as promises; calls end with the test file's time at the latest. */
import { credentials, type ServiceError } from '@grpc/grpc-js';
import { AuditService } from '../../src/adapters/grpc/contract.ts';
import type { CancelReconcileRequest } from '../../src/contract/generated/clickledger/v1/CancelReconcileRequest.ts';
import type { CancelReconcileResponse__Output } from '../../src/contract/generated/clickledger/v1/CancelReconcileResponse.ts';
import type { GetClickRequest } from '../../src/contract/generated/clickledger/v1/GetClickRequest.ts';
import type { GetClickResponse__Output } from '../../src/contract/generated/clickledger/v1/GetClickResponse.ts';
import type { GetReconcileRequest } from '../../src/contract/generated/clickledger/v1/GetReconcileRequest.ts';
import type { GetReconcileResponse__Output } from '../../src/contract/generated/clickledger/v1/GetReconcileResponse.ts';
import type { GetWindowProofRequest } from '../../src/contract/generated/clickledger/v1/GetWindowProofRequest.ts';
import type { GetWindowProofResponse__Output } from '../../src/contract/generated/clickledger/v1/GetWindowProofResponse.ts';
import type { ListClicksRequest } from '../../src/contract/generated/clickledger/v1/ListClicksRequest.ts';
import type { ListClicksResponse__Output } from '../../src/contract/generated/clickledger/v1/ListClicksResponse.ts';
import type { ListRestatementsRequest } from '../../src/contract/generated/clickledger/v1/ListRestatementsRequest.ts';
import type { ListRestatementsResponse__Output } from '../../src/contract/generated/clickledger/v1/ListRestatementsResponse.ts';
import type { StartReconcileRequest } from '../../src/contract/generated/clickledger/v1/StartReconcileRequest.ts';
import type { StartReconcileResponse__Output } from '../../src/contract/generated/clickledger/v1/StartReconcileResponse.ts';
import type { VerifyWindowRequest } from '../../src/contract/generated/clickledger/v1/VerifyWindowRequest.ts';
import type { VerifyWindowResponse__Output } from '../../src/contract/generated/clickledger/v1/VerifyWindowResponse.ts';

interface Methods {
  GetWindowProof: [GetWindowProofRequest, GetWindowProofResponse__Output];
  VerifyWindow: [VerifyWindowRequest, VerifyWindowResponse__Output];
  ListRestatements: [ListRestatementsRequest, ListRestatementsResponse__Output];
  ListClicks: [ListClicksRequest, ListClicksResponse__Output];
  GetClick: [GetClickRequest, GetClickResponse__Output];
  StartReconcile: [StartReconcileRequest, StartReconcileResponse__Output];
  GetReconcile: [GetReconcileRequest, GetReconcileResponse__Output];
  CancelReconcile: [CancelReconcileRequest, CancelReconcileResponse__Output];
}

const DEADLINE_MS = 60_000;

export class AuditClient {
  readonly #client: InstanceType<typeof AuditService>;

  constructor(address: string) {
    this.#client = new AuditService(address, credentials.createInsecure());
  }

  call<M extends keyof Methods>(
    method: M,
    request: Methods[M][0],
    deadlineMs = DEADLINE_MS,
  ): Promise<Methods[M][1]> {
    const { path, requestSerialize, responseDeserialize } = AuditService.service[method];
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest<Methods[M][0], Methods[M][1]>(
        path,
        requestSerialize as (value: Methods[M][0]) => Buffer,
        responseDeserialize as (bytes: Buffer) => Methods[M][1],
        request,
        { deadline: Date.now() + deadlineMs },
        (error: ServiceError | null, answer) => {
          if (error !== null) reject(error);
          else if (answer === undefined) reject(new Error('no answer'));
          else resolve(answer);
        },
      );
    });
  }

  close(): void {
    this.#client.close();
  }
}
