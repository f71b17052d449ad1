using System.Buffers.Binary;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;

namespace Millrace.Raft.Transport;

/// <summary>One question to a member's port by someone who is no member, for joining and for status.</summary>
public static class PeerQuestion
{
    private const int MaxBytes = 4 << 20;

    /// <exception cref="IOException">The member could not be reached or did not answer.</exception>
    public static async Task<byte[]> AskAsync(string host, int port, ReadOnlyMemory<byte> question, TlsIdentity? tls, CancellationToken cancel)
    {
        try
        {
            using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            await socket.ConnectAsync(host, port, cancel).ConfigureAwait(false);
            await using var plain = new NetworkStream(socket);
            await using var stream = tls is null ? (Stream)plain : new SslStream(plain);
            if (stream is SslStream secure)
                await secure.AuthenticateAsClientAsync(tls!.ForClient(host), cancel).ConfigureAwait(false);
            var words = new byte[Hello.Bytes];
            new Hello(0, MemberId.None, MemberId.None).Write(words);
            await stream.WriteAsync(words, cancel).ConfigureAwait(false);
            var welcome = new byte[1];
            await stream.ReadExactlyAsync(welcome, cancel).ConfigureAwait(false);
            await WriteAsync(stream, question, cancel).ConfigureAwait(false);
            return await ReadAsync(stream, cancel).ConfigureAwait(false);
        }
        catch (AuthenticationException error)
        {
            throw new IOException($"{host}:{port} and this member do not trust each other's certificates: {error.Message}", error);
        }
        catch (SocketException error)
        {
            throw new IOException($"no member answers at {host}:{port}: {error.Message}", error);
        }
    }

    internal static async Task WriteAsync(Stream stream, ReadOnlyMemory<byte> content, CancellationToken cancel)
    {
        var length = new byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(length, content.Length);
        await stream.WriteAsync(length, cancel).ConfigureAwait(false);
        await stream.WriteAsync(content, cancel).ConfigureAwait(false);
    }

    internal static async Task<byte[]> ReadAsync(Stream stream, CancellationToken cancel)
    {
        var header = new byte[4];
        await stream.ReadExactlyAsync(header, cancel).ConfigureAwait(false);
        var length = BinaryPrimitives.ReadInt32LittleEndian(header);
        if (length is < 0 or > MaxBytes)
            throw new InvalidDataException($"an answer of {length} bytes");
        var content = new byte[length];
        await stream.ReadExactlyAsync(content, cancel).ConfigureAwait(false);
        return content;
    }
}
