using Millrace.Kafka.Messages;

namespace Millrace.Log.Server;

/// <summary>Producer ids for idempotent producers.</summary>
internal sealed class ProducersHandler(BrokerContext context)
{
    public void Init(Exchange exchange, InitProducerIdRequest request)
    {
        var response = new InitProducerIdResponse { ProducerEpoch = -1 };
        if (request.TransactionalId is not null)
        {
            response.ErrorCode = ErrorCode.CoordinatorNotAvailable;
            exchange.Complete(response);
            return;
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
    }
}
