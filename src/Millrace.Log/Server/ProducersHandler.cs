using Millrace.Kafka.Messages;
using Millrace.Log.Transactions;

namespace Millrace.Log.Server;

/// <summary>Producer ids and epochs, with and without a transactional id.</summary>
internal sealed class ProducersHandler(BrokerContext context, TransactionCoordinator transactions)
{
    /// <summary>The first version whose clients know PRODUCER_FENCED (KIP-588).</summary>
    private const short FencedFrom = 4;

    public ValueTask InitAsync(Exchange exchange, InitProducerIdRequest request)
    {
        var response = new InitProducerIdResponse { ProducerEpoch = -1 };
        if (request.TransactionalId is not null)
        {
            transactions.Init(request.TransactionalId, request.TransactionTimeoutMs, request.ProducerId, request.ProducerEpoch, (error, id, epoch) =>
            {
                response.ErrorCode = error == ErrorCode.ProducerFenced && exchange.Version < FencedFrom ? ErrorCode.InvalidProducerEpoch : error;
                (response.ProducerId, response.ProducerEpoch) = (id, epoch);
                exchange.Complete(response);
            });
            return exchange.FinishedAsync();
        }
        try
        {
            // Without a transactional id the producer's own last id and epoch say nothing: each call begins anew (KIP-360).
            response.ProducerId = context.Store.NextProducerId();
            response.ProducerEpoch = 0;
        }
        catch (IOException error)
        {
            context.Metrics.LogTrouble("no producer id could be given out", error);
            response.ErrorCode = ErrorCode.StorageError;
        }
        exchange.Complete(response);
        return ValueTask.CompletedTask;
    }
}
