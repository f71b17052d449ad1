using Google.Protobuf;
using Millrace.Coordination.Grpc;
using Millrace.Raft.Transport;

namespace Millrace.Coordination.Client;

/// <summary>Channels to all members of a group: a call goes to the one that served last, and on to the next when that cannot be reached.</summary>
internal sealed class ClientChannels : IDisposable
{
    private readonly GrpcChannel[] _channels;
    private readonly TimeSpan _timeout;
    private readonly TimeProvider _time;
    private readonly TlsIdentity? _tls;
    private int _preferred;

    public ClientChannels(IReadOnlyList<Uri> endpoints, TimeSpan timeout, TimeProvider time, TlsFiles? tls)
    {
        ArgumentOutOfRangeException.ThrowIfZero(endpoints.Count);
        _tls = tls is null ? null : TlsIdentity.Load(tls, "TLS of the store's clients");
        _channels = endpoints.Select(e => new GrpcChannel(e, _tls)).ToArray();
        _timeout = timeout;
        _time = time;
    }

    /// <summary>Of a logged-in user.</summary>
    public string? Token { get; set; }

    public GrpcChannel Preferred => _channels[Volatile.Read(ref _preferred) % _channels.Length];

    /// <summary>The one for this address, which need not be among those of the group.</summary>
    public GrpcChannel For(Uri endpoint) => Array.Find(_channels, c => c.Endpoint == endpoint) ?? new GrpcChannel(endpoint, _tls);

    /// <summary>Calls the next one from now on.</summary>
    public void PassOver(GrpcChannel channel)
    {
        var preferred = Volatile.Read(ref _preferred);
        if (_channels[preferred % _channels.Length] == channel)
            Interlocked.CompareExchange(ref _preferred, (preferred + 1) % _channels.Length, preferred);
    }

    /// <param name="isRepeatable">A second execution does no harm, so an unknown outcome is tried elsewhere.</param>
    public async Task<TResponse> CallAsync<TResponse>(
        string method, IMessage request, MessageParser<TResponse> parser, bool isRepeatable, CancellationToken cancellation)
        where TResponse : class, IMessage<TResponse>
    {
        for (var tries = 1; ; tries++)
        {
            var channel = Preferred;
            try
            {
                return await CallAsync(channel, method, request, parser, cancellation).ConfigureAwait(false);
            }
            catch (CoordinationException error) when (tries < _channels.Length && error.Code == GrpcCodes.Unavailable
                && (isRepeatable || WasNotSent(error)))
            {
                PassOver(channel);
            }
        }
    }

    public async Task<TResponse> CallAsync<TResponse>(
        GrpcChannel channel, string method, IMessage request, MessageParser<TResponse> parser, CancellationToken cancellation)
        where TResponse : class, IMessage<TResponse>
    {
        using var limit = new CancellationTokenSource(_timeout, _time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellation);
        try
        {
            return await channel.UnaryAsync(method, request, parser, Token, both.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (limit.IsCancellationRequested && !cancellation.IsCancellationRequested)
        {
            throw new CoordinationException(GrpcCodes.DeadlineExceeded, $"{channel.Endpoint} did not answer within {_timeout.TotalSeconds:0.#} s");
        }
    }

    public void Dispose()
    {
        foreach (var channel in _channels)
            channel.Dispose();
    }

    private static bool WasNotSent(CoordinationException error) =>
        error.InnerException is HttpRequestException { HttpRequestError: HttpRequestError.ConnectionError or HttpRequestError.NameResolutionError };
}
