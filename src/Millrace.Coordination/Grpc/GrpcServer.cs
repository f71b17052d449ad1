using System.Net;
using Google.Protobuf;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Millrace.Coordination.Grpc;

/// <summary>Serves gRPC over HTTP/2 without TLS, right on Kestrel: a table of methods, each a function of a call.</summary>
internal sealed partial class GrpcServer : IHttpApplication<IFeatureCollection>, IAsyncDisposable
{
    private readonly Dictionary<string, Func<GrpcCall, Task>> _methods = new(StringComparer.Ordinal);
    private readonly KestrelServer _server;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly int _maxMessageBytes;

    /// <param name="address">Where to listen; port 0 for any free one.</param>
    /// <param name="maxMessageBytes">Of a request's message.</param>
    /// <param name="time">For deadlines.</param>
    /// <param name="loggers">For the server's own words too.</param>
    public GrpcServer(IPEndPoint address, int maxMessageBytes, TimeProvider time, ILoggerFactory loggers)
    {
        _maxMessageBytes = maxMessageBytes;
        _time = time;
        _logger = loggers.CreateLogger<GrpcServer>();
        var options = new KestrelServerOptions { AddServerHeader = false, AllowSynchronousIO = false };
        options.Limits.MaxRequestBodySize = null;
        options.Limits.MinRequestBodyDataRate = null;
        options.Limits.MinResponseDataRate = null;
        options.Limits.Http2.MaxStreamsPerConnection = 100_000;
        options.Limits.Http2.InitialConnectionWindowSize = 8 << 20;
        options.Limits.Http2.InitialStreamWindowSize = 1 << 20;
        options.Limits.KeepAliveTimeout = TimeSpan.FromHours(2);
        options.Listen(address, listen => listen.Protocols = HttpProtocols.Http2);
        _server = new KestrelServer(
            Options.Create(options), new SocketTransportFactory(Options.Create(new SocketTransportOptions { NoDelay = true, UnsafePreferInlineScheduling = true }), loggers), loggers);
    }

    /// <summary>Where it listens, once started.</summary>
    public int Port { get; private set; }

    /// <summary>Turns an exception that a method may throw into code and text; null for those that are our own bugs.</summary>
    public required Func<Exception, (int Code, string Text)?> StatusOf { get; init; }

    /// <summary>A method with one message each way.</summary>
    public void Unary<TRequest, TResponse>(
        string method, MessageParser<TRequest> parser, Func<GrpcCall, TRequest, ValueTask<TResponse>> handler)
        where TRequest : class, IMessage<TRequest>
        where TResponse : IMessage => _methods.Add(method, async call =>
        {
            var request = await call.ReadAsync(parser).ConfigureAwait(false)
                ?? throw new GrpcException(GrpcCodes.Internal, "the request has no message");
            call.Write(await handler(call, request).ConfigureAwait(false));
        });

    /// <summary>A method that reads and writes as it likes; it ends well when the function returns.</summary>
    public void Streaming(string method, Func<GrpcCall, Task> handler) => _methods.Add(method, handler);

    public async Task StartAsync(CancellationToken cancel)
    {
        await _server.StartAsync(this, cancel).ConfigureAwait(false);
        var addresses = _server.Features.Get<IServerAddressesFeature>()!.Addresses;
        Port = new Uri(addresses.First()).Port;
    }

    public async Task StopAsync(CancellationToken cancel) => await _server.StopAsync(cancel).ConfigureAwait(false);

    public ValueTask DisposeAsync()
    {
        _server.Dispose();
        return ValueTask.CompletedTask;
    }

    public IFeatureCollection CreateContext(IFeatureCollection contextFeatures) => contextFeatures;

    public void DisposeContext(IFeatureCollection context, Exception? exception)
    {
    }

    public async Task ProcessRequestAsync(IFeatureCollection context)
    {
        var request = context.GetRequiredFeature<IHttpRequestFeature>();
        var response = context.GetRequiredFeature<IHttpResponseFeature>();
        var contentType = request.Headers.ContentType.ToString();
        if (request.Method != "POST" || !contentType.StartsWith("application/grpc", StringComparison.Ordinal)
            || (contentType.Length > 16 && contentType[16] is not ('+' or ';')) || contentType.StartsWith("application/grpc+json", StringComparison.Ordinal))
        {
            response.StatusCode = request.Method == "POST" ? 415 : 405;
            return;
        }
        response.StatusCode = 200;
        response.Headers.ContentType = "application/grpc";
        var aborted = context.GetRequiredFeature<IHttpRequestLifetimeFeature>().RequestAborted;
        if (!request.Headers.TryGetValue("grpc-timeout", out var timeout) || !GrpcText.TryParseTimeout(timeout.ToString(), out var span))
        {
            await RunAsync(new GrpcCall(context, _maxMessageBytes, aborted), aborted).ConfigureAwait(false);
            return;
        }
        using var deadline = new CancellationTokenSource(span, _time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, aborted);
        await RunAsync(new GrpcCall(context, _maxMessageBytes, both.Token), aborted).ConfigureAwait(false);
    }

    private async Task RunAsync(GrpcCall call, CancellationToken aborted)
    {
        if (!_methods.TryGetValue(call.Path, out var method))
        {
            var parts = call.Path.Split('/');
            call.Finish(GrpcCodes.Unimplemented, parts.Length == 3 ? $"unknown method {parts[2]} for service {parts[1]}" : "malformed method name");
            return;
        }
        try
        {
            await method(call).ConfigureAwait(false);
            call.Finish(GrpcCodes.Ok, null);
        }
        catch (GrpcException error)
        {
            call.Finish(error.Code, error.Message);
        }
        catch (OperationCanceledException)
        {
            if (!aborted.IsCancellationRequested)
                call.Finish(GrpcCodes.DeadlineExceeded, "context deadline exceeded");
        }
        catch (IOException) when (aborted.IsCancellationRequested)
        {
            // The connection is gone; there is nobody to tell.
        }
        catch (Exception error)
        {
            if (StatusOf(error) is { } status)
            {
                call.Finish(status.Code, status.Text);
                return;
            }
            LogFailed(_logger, call.Path, error);
            call.Finish(GrpcCodes.Internal, "internal error: " + error.Message);
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "{Method} failed")]
    private static partial void LogFailed(ILogger logger, string method, Exception error);
}
