using Google.Protobuf;
using Millrace.Coordination.Grpc;
using Millrace.Coordination.Wire;

namespace Millrace.Coordination.Client;

/// <summary>One watch on one connection.</summary>
internal sealed class WatchConnection : IAsyncDisposable
{
    private const int OutOfRange = 11;
    private readonly CancellationTokenSource _end;
    private readonly CancellationToken _caller;
    private readonly GrpcDuplex<WatchResponse> _call;
    private readonly IAsyncEnumerator<WatchResponse> _responses;
    private readonly Task _asked;

    public WatchConnection(GrpcChannel channel, string prefix, ByteString rangeEnd, long from, string? token, CancellationToken cancellation)
    {
        _caller = cancellation;
        _end = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        _call = channel.Open("/etcdserverpb.Watch/Watch", WatchResponse.Parser, token, _end.Token);
        _responses = _call.Responses.GetAsyncEnumerator(_end.Token);
        var create = new WatchCreateRequest { Key = CoordinationClient.StartOf(prefix), RangeEnd = rangeEnd, StartRevision = from };
        _asked = _call.WriteAsync(new WatchRequest { CreateRequest = create }, _end.Token);
    }

    /// <summary>The next response with events; null when the connection is lost.</summary>
    public async Task<WatchResponse?> NextAsync()
    {
        try
        {
            while (await _responses.MoveNextAsync().ConfigureAwait(false))
            {
                var response = _responses.Current;
                if (response.CompactRevision > 0)
                    throw new CoordinationException(OutOfRange, "etcdserver: mvcc: required revision has been compacted");
                if (response.Canceled)
                    throw new CoordinationException(GrpcCodes.Canceled, "the watch was canceled: " + response.CancelReason);
                if (response.Events.Count > 0)
                    return response;
            }
            return null;
        }
        catch (CoordinationException error) when (error.Code == GrpcCodes.Unavailable && !_caller.IsCancellationRequested)
        {
            return null;
        }
    }

    public async ValueTask DisposeAsync()
    {
        _call.End();
        await _end.CancelAsync().ConfigureAwait(false);
        try
        {
            await _asked.ConfigureAwait(false);
        }
        catch (Exception error) when (error is OperationCanceledException or IOException or HttpRequestException)
        {
            // It never got through; the reading side has said so.
        }
        await _responses.DisposeAsync().ConfigureAwait(false);
        _call.Dispose();
        _end.Dispose();
    }
}
