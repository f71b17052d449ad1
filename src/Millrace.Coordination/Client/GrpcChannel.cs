using System.Buffers.Binary;
using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Runtime.CompilerServices;
using Google.Protobuf;
using Millrace.Coordination.Grpc;
using Millrace.Raft.Transport;

namespace Millrace.Coordination.Client;

/// <summary>gRPC to one server over HTTP/2, with TLS where its address says https. Thread-safe.</summary>
internal sealed class GrpcChannel : IDisposable
{
    private static readonly MediaTypeHeaderValue ContentType = new("application/grpc");
    private readonly HttpMessageInvoker _http;

    /// <param name="endpoint">Of the server.</param>
    /// <param name="tls">What the client trusts and proves; null: what the system trusts.</param>
    public GrpcChannel(Uri endpoint, TlsIdentity? tls = null)
    {
        Endpoint = endpoint;
        var handler = new SocketsHttpHandler
        {
            UseProxy = false, UseCookies = false, AllowAutoRedirect = false, EnableMultipleHttp2Connections = true,
            ConnectTimeout = TimeSpan.FromSeconds(3), InitialHttp2StreamWindowSize = 1 << 20,
        };
        if (tls is not null)
            handler.SslOptions = tls.ForClient(endpoint.Host);
        _http = new HttpMessageInvoker(handler);
    }

    public Uri Endpoint { get; }

    /// <exception cref="CoordinationException">The server's error, or 14 when it could not be reached.</exception>
    public async Task<TResponse> UnaryAsync<TResponse>(
        string method, IMessage request, MessageParser<TResponse> parser, string? token, CancellationToken cancellation)
        where TResponse : class, IMessage<TResponse>
    {
        TResponse? only = null;
        await foreach (var response in StreamAsync(method, request, parser, token, cancellation).ConfigureAwait(false))
            only = response;
        return only ?? throw new CoordinationException(GrpcCodes.Internal, $"{Endpoint} ended {method} without an answer");
    }

    /// <summary>One request, many responses.</summary>
    public async IAsyncEnumerable<TResponse> StreamAsync<TResponse>(
        string method, IMessage request, MessageParser<TResponse> parser, string? token,
        [EnumeratorCancellation] CancellationToken cancellation)
        where TResponse : class, IMessage<TResponse>
    {
        var content = new ByteArrayContent(Frame(request));
        using var response = await SendAsync(method, content, token, cancellation).ConfigureAwait(false);
        await foreach (var message in ReadAsync(response, method, parser, cancellation).ConfigureAwait(false))
            yield return message;
    }

    /// <summary>Messages both ways; requests go out as they are written.</summary>
    public GrpcDuplex<TResponse> Open<TResponse>(string method, MessageParser<TResponse> parser, string? token, CancellationToken cancellation)
        where TResponse : class, IMessage<TResponse>
    {
        var content = new DuplexContent();
        return new GrpcDuplex<TResponse>(content, ReadLaterAsync(method, content, parser, token, cancellation));
    }

    public void Dispose() => _http.Dispose();

    internal static byte[] Frame(IMessage message)
    {
        var size = message.CalculateSize();
        var framed = new byte[5 + size];
        BinaryPrimitives.WriteInt32BigEndian(framed.AsSpan(1), size);
        message.WriteTo(framed.AsSpan(5));
        return framed;
    }

    private async IAsyncEnumerable<TResponse> ReadLaterAsync<TResponse>(
        string method, HttpContent content, MessageParser<TResponse> parser, string? token,
        [EnumeratorCancellation] CancellationToken cancellation)
        where TResponse : class, IMessage<TResponse>
    {
        using var response = await SendAsync(method, content, token, cancellation).ConfigureAwait(false);
        await foreach (var message in ReadAsync(response, method, parser, cancellation).ConfigureAwait(false))
            yield return message;
    }

    private async Task<HttpResponseMessage> SendAsync(string method, HttpContent content, string? token, CancellationToken cancellation)
    {
        content.Headers.ContentType = ContentType;
        var request = new HttpRequestMessage(HttpMethod.Post, new Uri(Endpoint, method))
        {
            Version = HttpVersion.Version20, VersionPolicy = HttpVersionPolicy.RequestVersionExact, Content = content,
        };
        request.Headers.TE.Add(new TransferCodingWithQualityHeaderValue("trailers"));
        if (token is not null)
            request.Headers.TryAddWithoutValidation("token", token);
        try
        {
            return await _http.SendAsync(request, cancellation).ConfigureAwait(false);
        }
        catch (HttpRequestException error)
        {
            throw Unreachable(error);
        }
    }

    private async IAsyncEnumerable<TResponse> ReadAsync<TResponse>(
        HttpResponseMessage response, string method, MessageParser<TResponse> parser, [EnumeratorCancellation] CancellationToken cancellation)
        where TResponse : class, IMessage<TResponse>
    {
        if (response.StatusCode != HttpStatusCode.OK)
            throw new CoordinationException(GrpcCodes.Unavailable, $"{Endpoint} answers HTTP {(int)response.StatusCode}: it is no store with etcd's API");
        ThrowIfFailed(response.Headers);
        var stream = await response.Content.ReadAsStreamAsync(cancellation).ConfigureAwait(false);
        var prefix = new byte[5];
        while (await ReadMessageAsync(stream, prefix, method, cancellation).ConfigureAwait(false) is { } body)
            yield return parser.ParseFrom(body);
        ThrowIfFailed(response.TrailingHeaders);
    }

    private async Task<byte[]?> ReadMessageAsync(Stream stream, byte[] prefix, string method, CancellationToken cancellation)
    {
        try
        {
            var read = await stream.ReadAtLeastAsync(prefix, prefix.Length, throwOnEndOfStream: false, cancellation).ConfigureAwait(false);
            if (read == 0)
                return null;
            if (read < prefix.Length || prefix[0] != 0)
                throw new CoordinationException(GrpcCodes.Internal, $"{Endpoint} answered {method} with what is no message");
            var body = new byte[BinaryPrimitives.ReadUInt32BigEndian(prefix.AsSpan(1))];
            await stream.ReadExactlyAsync(body, cancellation).ConfigureAwait(false);
            return body;
        }
        catch (IOException error)
        {
            throw Unreachable(error);
        }
    }

    private CoordinationException Unreachable(Exception error) =>
        new(GrpcCodes.Unavailable, $"{Endpoint} cannot be reached: {error.Message}", error);

    private static void ThrowIfFailed(HttpResponseHeaders headers)
    {
        if (!headers.TryGetValues("grpc-status", out var status))
            return;
        var code = int.Parse(status.First(), CultureInfo.InvariantCulture);
        if (code == 0)
            return;
        var text = headers.TryGetValues("grpc-message", out var message) ? GrpcText.DecodeMessage(message.First()) : $"status {code}";
        throw new CoordinationException(code, text);
    }

    /// <summary>A request body that stays open while messages are written to it.</summary>
    internal sealed class DuplexContent : HttpContent
    {
        private readonly TaskCompletionSource<Stream> _stream = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly TaskCompletionSource _end = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly SemaphoreSlim _turn = new(1);

        public async Task WriteAsync(IMessage message, CancellationToken cancellation)
        {
            var stream = await _stream.Task.WaitAsync(cancellation).ConfigureAwait(false);
            await _turn.WaitAsync(cancellation).ConfigureAwait(false);
            try
            {
                await stream.WriteAsync(Frame(message), cancellation).ConfigureAwait(false);
                await stream.FlushAsync(cancellation).ConfigureAwait(false);
            }
            finally
            {
                _turn.Release();
            }
        }

        public void End() => _end.TrySetResult();

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            await stream.FlushAsync().ConfigureAwait(false);
            _stream.TrySetResult(stream);
            await _end.Task.ConfigureAwait(false);
        }

        protected override bool TryComputeLength(out long length)
        {
            length = 0;
            return false;
        }

        protected override void Dispose(bool disposing)
        {
            _end.TrySetResult();
            _stream.TrySetCanceled();
            base.Dispose(disposing);
        }
    }
}

/// <summary>A call with messages both ways. Read <see cref="Responses"/> from the start: reading is what begins the call.</summary>
internal sealed class GrpcDuplex<TResponse>(GrpcChannel.DuplexContent content, IAsyncEnumerable<TResponse> responses) : IDisposable
{
    public IAsyncEnumerable<TResponse> Responses => responses;

    /// <summary>Waits until the call has begun, then sends.</summary>
    public Task WriteAsync(IMessage message, CancellationToken cancellation) => content.WriteAsync(message, cancellation);

    /// <summary>Says that no more will be sent.</summary>
    public void End() => content.End();

    public void Dispose() => content.Dispose();
}
