/** What a process that reconciles and those that replay shards for it tell each other. Plain data, copied on its way. */
import type { RecountedPortion } from '../../domain/recount.ts';
import type { ReplayedShard, ReplayOrder } from '../../domain/replayers.ts';

export type ToReplayer =
  | {
      readonly kind: 'replay';
      readonly order: ReplayOrder;
      /** The routing table is read to at least here. */
      readonly routingSequence: number;
    }
  /** The portion that was sent last is stored: the next one may come. */
  | { readonly kind: 'stored' };

export type FromReplayer =
  /** It listens: what is sent to it earlier is lost. */
  | { readonly kind: 'ready' }
  | { readonly kind: 'recounted'; readonly portion: RecountedPortion }
  | { readonly kind: 'records'; readonly records: number }
  | { readonly kind: 'troubled'; readonly message: string }
  | { readonly kind: 'done'; readonly replayed: ReplayedShard }
  | { readonly kind: 'failed'; readonly why: ReplayFailure };

export interface ReplayFailure {
  /** Names its class, for those that say that nothing can be decided. */
  readonly name: string;
  readonly message: string;
}
