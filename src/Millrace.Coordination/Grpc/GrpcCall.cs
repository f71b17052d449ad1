using System.Buffers;
using System.Buffers.Binary;
using System.IO.Compression;
using System.IO.Pipelines;
using Google.Protobuf;
using Microsoft.AspNetCore.Http.Features;

namespace Millrace.Coordination.Grpc;

/// <summary>One call of a client: its messages in, messages out, and how it ends.</summary>
/// <remarks>One reader and one writer at a time.</remarks>
internal sealed class GrpcCall
{
    private const int PrefixBytes = 5;
    private readonly IFeatureCollection _features;
    private readonly IHttpRequestFeature _request;
    private readonly PipeReader _input;
    private readonly PipeWriter _output;
    private readonly int _maxMessageBytes;

    public GrpcCall(IFeatureCollection features, int maxMessageBytes, CancellationToken canceled)
    {
        _features = features;
        _request = features.GetRequiredFeature<IHttpRequestFeature>();
        _input = features.Get<IRequestBodyPipeFeature>()?.Reader ?? PipeReader.Create(_request.Body);
        _output = features.GetRequiredFeature<IHttpResponseBodyFeature>().Writer;
        _maxMessageBytes = maxMessageBytes;
        Canceled = canceled;
    }

    /// <summary>The client went away or its deadline passed.</summary>
    public CancellationToken Canceled { get; }

    public bool HasWritten { get; private set; }

    public string Path => _request.Path;

    /// <summary>A header of the request; null when absent.</summary>
    public string? Metadata(string name) => _request.Headers.TryGetValue(name, out var values) ? values.ToString() : null;

    /// <summary>The next message; null when the client has said all.</summary>
    /// <exception cref="GrpcException">It is too large, cut short, malformed or compressed in an unknown way.</exception>
    public async ValueTask<T?> ReadAsync<T>(MessageParser<T> parser)
        where T : class, IMessage<T>
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
                    throw new GrpcException(GrpcCodes.Internal, "the request ends within a message");
                _input.AdvanceTo(buffer.End);
                return null;
            }
            _input.AdvanceTo(buffer.Start, buffer.End);
        }
    }

    /// <summary>Sends a message; it leaves with the next flush.</summary>
    public void Write(IMessage message)
    {
        HasWritten = true;
        var size = message.CalculateSize();
        var prefix = _output.GetSpan(PrefixBytes);
        prefix[0] = 0;
        BinaryPrimitives.WriteInt32BigEndian(prefix[1..], size);
        _output.Advance(PrefixBytes);
        message.WriteTo(_output);
    }

    /// <summary>Where a message of this size, put into bytes by the caller, is to be written before <see cref="EndMessage"/>.</summary>
    public Span<byte> BeginMessage(int size)
    {
        HasWritten = true;
        var target = _output.GetSpan(PrefixBytes + size);
        target[0] = 0;
        BinaryPrimitives.WriteInt32BigEndian(target[1..], size);
        return target.Slice(PrefixBytes, size);
    }

    public void EndMessage(int size) => _output.Advance(PrefixBytes + size);

    public async ValueTask FlushAsync()
    {
        var result = await _output.FlushAsync(Canceled).ConfigureAwait(false);
        if (result.IsCompleted)
            throw new OperationCanceledException("the client went away");
    }

    /// <summary>Ends the response: without any message before it by one block of headers, otherwise by trailers.</summary>
    public void Finish(int status, string? message)
    {
        var response = _features.GetRequiredFeature<IHttpResponseFeature>();
        var headers = response.HasStarted || HasWritten
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
        var length = BinaryPrimitives.ReadUInt32BigEndian(prefix[1..]);
        if (length > _maxMessageBytes)
        {
            throw new GrpcException(
                GrpcCodes.ResourceExhausted, $"grpc: received message larger than max ({length} vs. {_maxMessageBytes})");
        }
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
            throw new GrpcException(GrpcCodes.Internal, "grpc: error unmarshalling request: " + error.Message);
        }
        buffer = buffer.Slice(PrefixBytes + length);
        return true;
    }

    private ReadOnlySequence<byte> Decompress(ReadOnlySequence<byte> body)
    {
        var encoding = Metadata("grpc-encoding");
        if (encoding is not "gzip")
        {
            throw new GrpcException(
                GrpcCodes.Unimplemented, $"grpc: Decompressor is not installed for grpc-encoding \"{encoding}\"");
        }
        using var gzip = new GZipStream(new MemoryStream(body.ToArray()), CompressionMode.Decompress);
        var target = new byte[_maxMessageBytes + 1];
        try
        {
            var read = gzip.ReadAtLeast(target, target.Length, throwOnEndOfStream: false);
            if (read > _maxMessageBytes)
                throw new GrpcException(GrpcCodes.ResourceExhausted, $"grpc: message after decompression larger than max {_maxMessageBytes}");
            return new ReadOnlySequence<byte>(target, 0, read);
        }
        catch (InvalidDataException error)
        {
            throw new GrpcException(GrpcCodes.Internal, "grpc: failed to decompress the message: " + error.Message);
        }
    }
}
