/** A call to the query service of this installation, with an error that a person can read. */
import { explainCallError } from '../../adapters/grpc/callError.ts';
import { type QueryClient, queryClient } from '../../adapters/grpc/clients.ts';
import { CliError } from '../cliError.ts';
import { endpoints } from '../endpoints.ts';
import { dataDirectory, instanceEnvironment } from '../stack/instance.ts';

export async function askQuery<T>(call: (client: QueryClient) => Promise<T>): Promise<T> {
  const client = queryClient(endpoints(instanceEnvironment(dataDirectory())).queryAddress);
  try {
    return await call(client);
  } catch (error) {
    throw new CliError(explainCallError(error, 'the query service', client.address));
  } finally {
    client.close();
  }
}
