using System.Net;
using System.Text;
using Google.Protobuf;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Millrace.Coordination.Grpc.Http2;
using Millrace.Raft.Transport;

namespace Millrace.Coordination.Grpc;

/// <summary>
/// Serves gRPC over HTTP/2: a table of methods, each a function of a call. Without TLS on Linux our own <see cref="Http2Listener"/> carries
/// the calls (docs/decisions, "An HTTP/2 front of our own"), otherwise Kestrel.
/// </summary>
internal sealed partial class GrpcServer : IHttpApplication<IFeatureCollection>, IAsyncDisposable
{
    private readonly Dictionary<string, GrpcMethod> _methods = new(StringComparer.Ordinal);
    private readonly IPEndPoint _address;
    private readonly TlsIdentity? _tls;
    private readonly ILoggerFactory _loggers;
    private KestrelServer? _kestrel;
    private Http2Listener? _listener;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly int _maxMessageBytes;

    /// <param name="address">Where to listen; port 0 for any free one.</param>
    /// <param name="maxMessageBytes">Of a request's message.</param>
    /// <param name="time">For deadlines.</param>
    /// <param name="loggers">For the server's own words too.</param>
    /// <param name="tls">Null: in the clear.</param>
    public GrpcServer(IPEndPoint address, int maxMessageBytes, TimeProvider time, ILoggerFactory loggers, TlsIdentity? tls = null)
    {
        _tls = tls;
        _maxMessageBytes = maxMessageBytes;
        _address = address;
        _loggers = loggers;
        _time = time;
        _logger = loggers.CreateLogger<GrpcServer>();
    }

    /// <summary>Where it listens, once started.</summary>
    public int Port { get; private set; }

    /// <summary>Turns an exception that a method may throw into code and text; null for those that are our own bugs.</summary>
    public required Func<Exception, (int Code, string Text)?> StatusOf { get; init; }

    /// <summary>Answers plain HTTP, by method and target.</summary>
    public required Func<string, string, ValueTask<HttpPage>> Pages { get; init; }

    public TimeProvider Time => _time;

    /// <summary>A method with one message each way.</summary>
    /// <param name="isQuick">It only computes for microseconds before it waits for others.</param>
    public void Unary<TRequest, TResponse>(
        string method, MessageParser<TRequest> parser, Func<GrpcCall, TRequest, ValueTask<TResponse>> handler, bool isQuick = false)
        where TRequest : class, IMessage<TRequest>
        where TResponse : IMessage => _methods.Add(method, new UnaryMethod<TRequest, TResponse>(this, parser, handler, isQuick));

    /// <summary>A method that reads and writes as it likes; it ends well when the function returns.</summary>
    public void Streaming(string method, Func<GrpcCall, Task> handler) => _methods.Add(method, new StreamingMethod(handler));

    /// <summary>Fails by no exception.</summary>
    public async ValueTask<HttpPage> PageAsync(string method, string target)
    {
        try
        {
            return await Pages(method, target).ConfigureAwait(false);
        }
        catch (Exception error)
        {
            // Into the status that the client gets.
            LogFailed(_logger, target, error);
            return new HttpPage(500, "text/plain; charset=utf-8", "internal error\n");
        }
    }

    public GrpcMethod? Find(string path) => _methods.GetValueOrDefault(path);

    public async Task StartAsync(CancellationToken cancel)
    {
        if (_tls is null && Http2Listener.IsSupported)
        {
            _listener = new Http2Listener(_address, new ConnectionLimits { MaxMessageBytes = _maxMessageBytes }, this, _logger);
            Port = _listener.Port;
            return;
        }
        _kestrel = CreateKestrel();
        await _kestrel.StartAsync(this, cancel).ConfigureAwait(false);
        var addresses = _kestrel.Features.Get<IServerAddressesFeature>()!.Addresses;
        Port = new Uri(addresses.First()).Port;
    }

    public async Task StopAsync(CancellationToken cancel)
    {
        if (_listener is not null)
            await _listener.StopAsync(cancel).ConfigureAwait(false);
        if (_kestrel is not null)
            await _kestrel.StopAsync(cancel).ConfigureAwait(false);
    }

    public async ValueTask DisposeAsync()
    {
        if (_listener is not null)
            await _listener.DisposeAsync().ConfigureAwait(false);
        _kestrel?.Dispose();
    }

    /// <summary>Whether a content type is gRPC's with protobuf in it.</summary>
    public static bool IsGrpc(string contentType) => contentType.StartsWith("application/grpc", StringComparison.Ordinal)
        && (contentType.Length <= 16 || contentType[16] is '+' or ';') && !contentType.StartsWith("application/grpc+json", StringComparison.Ordinal);

    /// <summary>A call's head is here.</summary>
    public void Begin(Http2Stream call, RequestHead head)
    {
        if (head.Target is null)
        {
            call.MarkStarted();
            call.Finish(GrpcCodes.Unimplemented, UnknownMethod(head.Path));
        }
        else if (head.Target.IsStreaming)
        {
            call.MarkStarted();
            ThreadPool.UnsafeQueueUserWorkItem(static all => _ = all.Server.RunAsync(all.Call, all.Method), (Server: this, Call: call, Method: head.Target), preferLocal: false);
        }
    }

    /// <summary>Ends a call with the status that an error stands for.</summary>
    public void Fail(GrpcCall call, Exception error)
    {
        switch (error)
        {
            case GrpcException known:
                call.Finish(known.Code, known.Message);
                break;
            case OperationCanceledException:
                call.Finish(GrpcCodes.DeadlineExceeded, "context deadline exceeded");
                break;
            case IOException when call.IsAborted:
                // The connection is gone; there is nobody to tell.
                call.Finish(GrpcCodes.Canceled, "context canceled");
                break;
            default:
                if (StatusOf(error) is { } status)
                {
                    call.Finish(status.Code, status.Text);
                    break;
                }
                LogFailed(_logger, call.Path, error);
                call.Finish(GrpcCodes.Internal, "internal error: " + error.Message);
                break;
        }
    }

    public IFeatureCollection CreateContext(IFeatureCollection contextFeatures) => contextFeatures;

    public void DisposeContext(IFeatureCollection context, Exception? exception)
    {
    }

    public async Task ProcessRequestAsync(IFeatureCollection context)
    {
        var request = context.GetRequiredFeature<IHttpRequestFeature>();
        var response = context.GetRequiredFeature<IHttpResponseFeature>();
        if (request.Method is "GET" or "HEAD")
        {
            var page = await PageAsync(request.Method, request.RawTarget).ConfigureAwait(false);
            response.StatusCode = page.Status;
            response.Headers.ContentType = page.ContentType;
            response.Headers.ContentLength = Encoding.UTF8.GetByteCount(page.Body);
            if (request.Method == "GET")
                await context.GetRequiredFeature<IHttpResponseBodyFeature>().Writer.WriteAsync(Encoding.UTF8.GetBytes(page.Body)).ConfigureAwait(false);
            return;
        }
        if (request.Method != "POST" || !IsGrpc(request.Headers.ContentType.ToString()))
        {
            response.StatusCode = request.Method == "POST" ? 415 : 405;
            return;
        }
        response.StatusCode = 200;
        response.Headers.ContentType = "application/grpc";
        var aborted = context.GetRequiredFeature<IHttpRequestLifetimeFeature>().RequestAborted;
        if (!request.Headers.TryGetValue("grpc-timeout", out var timeout) || !GrpcText.TryParseTimeout(timeout.ToString(), out var span))
        {
            await RunAsync(new KestrelCall(context, _maxMessageBytes, aborted, aborted), Find(request.Path)).ConfigureAwait(false);
            return;
        }
        using var deadline = new CancellationTokenSource(span, _time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, aborted);
        await RunAsync(new KestrelCall(context, _maxMessageBytes, both.Token, aborted), Find(request.Path)).ConfigureAwait(false);
    }

    private async Task RunAsync(GrpcCall call, GrpcMethod? method)
    {
        try
        {
            if (method is null)
                throw new GrpcException(GrpcCodes.Unimplemented, UnknownMethod(call.Path));
            await method.RunAsync(call).ConfigureAwait(false);
        }
        catch (Exception error)
        {
            // Into the status that the client gets; those that are our own bugs are logged.
            Fail(call, error);
        }
    }

    private string UnknownMethod(string path)
    {
        var parts = path.Split('/');
        if (parts.Length != 3)
            return $"malformed method name: \"{path}\"";
        var isService = _methods.Keys.Any(m => m.StartsWith($"/{parts[1]}/", StringComparison.Ordinal));
        return isService ? $"unknown method {parts[2]} for service {parts[1]}" : $"unknown service {parts[1]}";
    }

    private KestrelServer CreateKestrel()
    {
        var options = new KestrelServerOptions { AddServerHeader = false, AllowSynchronousIO = false };
        options.Limits.MaxRequestBodySize = null;
        options.Limits.MinRequestBodyDataRate = null;
        options.Limits.MinResponseDataRate = null;
        options.Limits.Http2.MaxStreamsPerConnection = 100_000;
        options.Limits.Http2.InitialConnectionWindowSize = 8 << 20;
        options.Limits.Http2.InitialStreamWindowSize = 1 << 20;
        options.Limits.KeepAliveTimeout = TimeSpan.FromHours(2);
        options.Listen(_address, listen =>
        {
            // Which of the two it is, is agreed on by ALPN.
            listen.Protocols = _tls is null ? HttpProtocols.Http2 : HttpProtocols.Http1AndHttp2;
            if (_tls is not null)
                listen.UseTls(_tls, _time);
        });
        return new KestrelServer(
            Options.Create(options), new SocketTransportFactory(Options.Create(new SocketTransportOptions { NoDelay = true, UnsafePreferInlineScheduling = true }), _loggers), _loggers);
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "{Method} failed")]
    private static partial void LogFailed(ILogger logger, string method, Exception error);
}
