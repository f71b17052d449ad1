using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;
using System.Security.Cryptography.X509Certificates;
using Google.Protobuf;
using Microsoft.AspNetCore.Http.Features;

namespace Millrace.Coordination.Grpc;

/// <summary>A call that Kestrel carries.</summary>
internal sealed class KestrelCall : GrpcCall
{
    private readonly IFeatureCollection _features;
    private readonly IHttpRequestFeature _request;
    private readonly PipeReader _input;
    private readonly PipeWriter _output;
    private readonly CancellationToken _aborted;
    private bool _hasWritten;

    public KestrelCall(IFeatureCollection features, int maxMessageBytes, CancellationToken canceled, CancellationToken aborted)
        : base(maxMessageBytes)
    {
        _features = features;
        _request = features.GetRequiredFeature<IHttpRequestFeature>();
        _input = features.Get<IRequestBodyPipeFeature>()?.Reader ?? PipeReader.Create(_request.Body);
        _output = features.GetRequiredFeature<IHttpResponseBodyFeature>().Writer;
        _aborted = aborted;
        Canceled = canceled;
    }

    public override CancellationToken Canceled { get; }

    public override bool IsAborted => _aborted.IsCancellationRequested;

    public override string Path => _request.Path;

    public override string? CertifiedName => _features.Get<ITlsConnectionFeature>()?.ClientCertificate?.GetNameInfo(X509NameType.SimpleName, forIssuer: false);

    public override string? Metadata(string name) => _request.Headers.TryGetValue(name, out var values) ? values.ToString() : null;

    public override async ValueTask<T?> ReadAsync<T>(MessageParser<T> parser)
        where T : class
    {
        while (true)
        {
            var result = await _input.ReadAsync(Canceled).ConfigureAwait(false);
            var buffer = result.Buffer;
            if (TryParse(ref buffer, parser, out var message))
            {
                _input.AdvanceTo(buffer.Start);
                return message;
            }
            if (result.IsCompleted)
            {
                if (!buffer.IsEmpty)
                    throw new GrpcException(GrpcCodes.Unknown, "unexpected EOF");
                _input.AdvanceTo(buffer.End);
                return null;
            }
            _input.AdvanceTo(buffer.Start, buffer.End);
        }
    }

    public override void Write(IMessage message)
    {
        _hasWritten = true;
        var size = message.CalculateSize();
        var prefix = _output.GetSpan(PrefixBytes);
        prefix[0] = 0;
        BinaryPrimitives.WriteInt32BigEndian(prefix[1..], size);
        _output.Advance(PrefixBytes);
        message.WriteTo(_output);
    }

    public override Span<byte> BeginMessage(int size)
    {
        _hasWritten = true;
        var target = _output.GetSpan(PrefixBytes + size);
        target[0] = 0;
        BinaryPrimitives.WriteInt32BigEndian(target[1..], size);
        return target.Slice(PrefixBytes, size);
    }

    public override void EndMessage(int size) => _output.Advance(PrefixBytes + size);

    public override async ValueTask FlushAsync()
    {
        var result = await _output.FlushAsync(Canceled).ConfigureAwait(false);
        if (result.IsCompleted)
            throw new OperationCanceledException("the client went away");
    }

    public override void Respond(IMessage message)
    {
        Write(message);
        Finish(GrpcCodes.Ok, null);
    }

    public override void Finish(int status, string? message)
    {
        var response = _features.GetRequiredFeature<IHttpResponseFeature>();
        var headers = response.HasStarted || _hasWritten
            ? _features.GetRequiredFeature<IHttpResponseTrailersFeature>().Trailers
            : response.Headers;
        headers["grpc-status"] = status == 0 ? "0" : status.ToString(System.Globalization.CultureInfo.InvariantCulture);
        if (message is not null)
            headers["grpc-message"] = GrpcText.EncodeMessage(message);
    }

    private bool TryParse<T>(ref ReadOnlySequence<byte> buffer, MessageParser<T> parser, out T? message)
        where T : class, IMessage<T>
    {
        message = null;
        if (buffer.Length < PrefixBytes)
            return false;
        Span<byte> prefix = stackalloc byte[PrefixBytes];
        buffer.Slice(0, PrefixBytes).CopyTo(prefix);
        var length = CheckLength(BinaryPrimitives.ReadUInt32BigEndian(prefix[1..]));
        if (buffer.Length < PrefixBytes + length)
            return false;
        var body = buffer.Slice(PrefixBytes, length);
        if (prefix[0] != 0)
            body = Decompress(body);
        try
        {
            message = parser.ParseFrom(body);
        }
        catch (InvalidProtocolBufferException error)
        {
            throw GrpcMethod.Unreadable(error);
        }
        buffer = buffer.Slice(PrefixBytes + length);
        return true;
    }
}
