using Google.Protobuf;

namespace Millrace.Coordination.Grpc;

/// <summary>A method that clients may call.</summary>
internal abstract class GrpcMethod
{
    /// <summary>Messages may go both ways while it runs; otherwise there is one each way.</summary>
    public abstract bool IsStreaming { get; }

    /// <summary>Serves a call to its end; throws what went wrong.</summary>
    public abstract Task RunAsync(GrpcCall call);

    /// <summary>Begins a call whose only message is here, and sees to its end.</summary>
    public abstract void Begin(GrpcCall call, ReadOnlySpan<byte> message);

    public static GrpcException Unreadable(InvalidProtocolBufferException error) =>
        new(GrpcCodes.Internal, "grpc: error unmarshalling request: " + error.Message);
}

internal sealed class StreamingMethod(Func<GrpcCall, Task> handler) : GrpcMethod
{
    public override bool IsStreaming => true;

    public override async Task RunAsync(GrpcCall call)
    {
        await handler(call).ConfigureAwait(false);
        call.Finish(GrpcCodes.Ok, null);
    }

    public override void Begin(GrpcCall call, ReadOnlySpan<byte> message) =>
        throw new NotSupportedException("a stream does not begin with one message");
}

/// <param name="isQuick">It only computes for microseconds before it waits for others, so the thread that reads from clients may begin it.</param>
internal sealed class UnaryMethod<TRequest, TResponse>(
    GrpcServer server, MessageParser<TRequest> parser, Func<GrpcCall, TRequest, ValueTask<TResponse>> handler, bool isQuick) : GrpcMethod
    where TRequest : class, IMessage<TRequest>
    where TResponse : IMessage
{
    public override bool IsStreaming => false;

    public override async Task RunAsync(GrpcCall call)
    {
        var request = await call.ReadAsync(parser).ConfigureAwait(false)
            ?? throw new GrpcException(GrpcCodes.Unknown, "EOF");
        call.Respond(await handler(call, request).ConfigureAwait(false));
    }

    public override void Begin(GrpcCall call, ReadOnlySpan<byte> message)
    {
        TRequest request;
        try
        {
            request = parser.ParseFrom(message);
        }
        catch (InvalidProtocolBufferException error)
        {
            server.Fail(call, Unreadable(error));
            return;
        }
        if (isQuick)
            Begin(call, request);
        else
            ThreadPool.UnsafeQueueUserWorkItem(static all => all.Method.Begin(all.Call, all.Request), (Method: this, Call: call, Request: request), preferLocal: false);
    }

    private void Begin(GrpcCall call, TRequest request)
    {
        try
        {
            var answer = handler(call, request);
            if (answer.IsCompletedSuccessfully)
                call.Respond(answer.Result);
            else
                _ = RespondAsync(call, answer);
        }
        catch (Exception error)
        {
            // Into the status that the client gets, as any error of a method.
            server.Fail(call, error);
        }
    }

    private async Task RespondAsync(GrpcCall call, ValueTask<TResponse> answer)
    {
        try
        {
            call.Respond(await answer.ConfigureAwait(false));
        }
        catch (Exception error)
        {
            server.Fail(call, error);
        }
    }
}
