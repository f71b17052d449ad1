using System.Net;
using Google.Protobuf;
using Microsoft.Extensions.Logging;
using Millrace.Coordination.Grpc.Http2;
using Millrace.Raft.Transport;

namespace Millrace.Coordination.Grpc;

/// <summary>
/// Serves gRPC over HTTP/2: a table of methods, each a function of a call. Our own <see cref="Http2Listener"/> carries the calls (docs/decisions, "An HTTP/2
/// front of our own").
/// </summary>
internal sealed partial class GrpcServer : IAsyncDisposable
{
    private readonly Dictionary<string, GrpcMethod> _methods = new(StringComparer.Ordinal);
    private readonly IPEndPoint _address;
    private readonly TlsIdentity? _tls;
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

    /// <exception cref="IOException">The address cannot be listened on.</exception>
    public void Start()
    {
        _listener = new Http2Listener(_address, new ConnectionLimits { MaxMessageBytes = _maxMessageBytes }, this, _logger, _tls);
        Port = _listener.Port;
    }

    public Task StopAsync(CancellationToken cancel) => _listener?.StopAsync(cancel) ?? Task.CompletedTask;

    public ValueTask DisposeAsync() => _listener?.DisposeAsync() ?? ValueTask.CompletedTask;

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

    [LoggerMessage(Level = LogLevel.Error, Message = "{Method} failed")]
    private static partial void LogFailed(ILogger logger, string method, Exception error);
}
