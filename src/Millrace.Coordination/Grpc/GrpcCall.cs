using System.Buffers;
using System.IO.Compression;
using Google.Protobuf;

namespace Millrace.Coordination.Grpc;

/// <summary>One call of a client: its messages in, messages out, and how it ends.</summary>
/// <remarks>One reader and one writer at a time.</remarks>
internal abstract class GrpcCall(int maxMessageBytes)
{
    /// <summary>Compressed or not, and the length of the message that follows.</summary>
    public const int PrefixBytes = 5;

    /// <summary>The client went away or its deadline passed.</summary>
    public abstract CancellationToken Canceled { get; }

    /// <summary>The client went away.</summary>
    public abstract bool IsAborted { get; }

    public abstract string Path { get; }

    protected int MaxMessageBytes => maxMessageBytes;

    /// <summary>The name in the certificate that the client proved to have; null without one.</summary>
    public virtual string? CertifiedName => null;

    /// <summary>A header of the request; null when absent.</summary>
    public abstract string? Metadata(string name);

    /// <summary>The next message; null when the client has said all.</summary>
    /// <exception cref="GrpcException">It is too large, cut short, malformed or compressed in an unknown way.</exception>
    public abstract ValueTask<T?> ReadAsync<T>(MessageParser<T> parser)
        where T : class, IMessage<T>;

    /// <summary>Sends a message; it leaves with the next flush.</summary>
    public abstract void Write(IMessage message);

    /// <summary>Where a message of this size, put into bytes by the caller, is to be written before <see cref="EndMessage"/>.</summary>
    public abstract Span<byte> BeginMessage(int size);

    public abstract void EndMessage(int size);

    public abstract ValueTask FlushAsync();

    /// <summary>Sends the only message and ends the response well.</summary>
    public abstract void Respond(IMessage message);

    /// <summary>Ends the response: without any message before it by one block of headers, otherwise by trailers.</summary>
    public abstract void Finish(int status, string? message);

    protected int CheckLength(uint length) => length <= maxMessageBytes
        ? (int)length
        : throw new GrpcException(GrpcCodes.ResourceExhausted, $"grpc: received message larger than max ({length} vs. {maxMessageBytes})");

    protected static T Parse<T>(MessageParser<T> parser, ReadOnlySpan<byte> message)
        where T : class, IMessage<T>
    {
        try
        {
            return parser.ParseFrom(message);
        }
        catch (InvalidProtocolBufferException error)
        {
            throw GrpcMethod.Unreadable(error);
        }
    }

    protected ReadOnlySequence<byte> Decompress(ReadOnlySequence<byte> body)
    {
        var encoding = Metadata("grpc-encoding");
        if (encoding is null or "" or "identity")
            throw new GrpcException(GrpcCodes.Internal, "grpc: compressed flag set with identity or empty encoding");
        if (encoding is not "gzip")
        {
            throw new GrpcException(
                GrpcCodes.Unimplemented, $"grpc: Decompressor is not installed for grpc-encoding \"{encoding}\"");
        }
        using var gzip = new GZipStream(new MemoryStream(body.ToArray()), CompressionMode.Decompress);
        var target = new byte[maxMessageBytes + 1];
        try
        {
            var read = gzip.ReadAtLeast(target, target.Length, throwOnEndOfStream: false);
            if (read > maxMessageBytes)
                throw new GrpcException(GrpcCodes.ResourceExhausted, $"grpc: message after decompression larger than max {maxMessageBytes}");
            return new ReadOnlySequence<byte>(target, 0, read);
        }
        catch (InvalidDataException error)
        {
            throw new GrpcException(GrpcCodes.Internal, "grpc: failed to decompress the message: " + error.Message);
        }
    }
}
