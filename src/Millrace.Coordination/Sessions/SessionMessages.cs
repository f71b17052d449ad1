using System.Buffers.Binary;
using System.Text;

namespace Millrace.Coordination.Sessions;

/// <summary>What members say to each other about sessions. Lost, doubled and late ones are harmless.</summary>
/// <param name="Operation">The asker's number, which the answer carries; 0 for what needs none.</param>
public abstract record SessionMessage(ulong From, ulong To, long Operation, string Key);

/// <summary>Keep this, unless there is something newer.</summary>
public sealed record SessionStore(ulong From, ulong To, long Operation, string Key, SessionVersion Version) : SessionMessage(From, To, Operation, Key);

/// <summary>It, or something newer, is on the sender's disk.</summary>
public sealed record SessionStored(ulong From, ulong To, long Operation, string Key, HybridTime Time) : SessionMessage(From, To, Operation, Key);

public sealed record SessionAsk(ulong From, ulong To, long Operation, string Key) : SessionMessage(From, To, Operation, Key);

/// <param name="Version">Null: the sender never had any.</param>
public sealed record SessionHas(ulong From, ulong To, long Operation, string Key, SessionVersion? Version) : SessionMessage(From, To, Operation, Key);

/// <summary>Messages as bytes: kind, operation, time, expiry, whether there is a version and a value, the key's length, key, value.</summary>
public static class SessionCodec
{
    private const int HeaderBytes = 1 + 8 + 8 + 4 + 8 + 8 + 1 + 4;

    public static byte[] Encode(SessionMessage message)
    {
        ArgumentNullException.ThrowIfNull(message);
        var version = message switch { SessionStore m => m.Version, SessionHas m => m.Version, _ => null };
        var time = message is SessionStored stored ? stored.Time : version?.Time ?? default;
        var key = Encoding.UTF8.GetBytes(message.Key);
        var data = new byte[HeaderBytes + key.Length + (version?.Value?.Length ?? 0)];
        data[0] = message switch { SessionStore => 1, SessionStored => 2, SessionAsk => 3, _ => 4 };
        BinaryPrimitives.WriteInt64LittleEndian(data.AsSpan(1), message.Operation);
        BinaryPrimitives.WriteInt64LittleEndian(data.AsSpan(9), time.Millis);
        BinaryPrimitives.WriteInt32LittleEndian(data.AsSpan(17), time.Counter);
        BinaryPrimitives.WriteUInt64LittleEndian(data.AsSpan(21), time.Member);
        BinaryPrimitives.WriteInt64LittleEndian(data.AsSpan(29), version?.ExpiresAtMillis ?? 0);
        data[37] = (byte)((version is not null ? 1 : 0) | (version?.Value is not null ? 2 : 0));
        BinaryPrimitives.WriteInt32LittleEndian(data.AsSpan(38), key.Length);
        key.CopyTo(data, HeaderBytes);
        version?.Value?.Span.CopyTo(data.AsSpan(HeaderBytes + key.Length));
        return data;
    }

    /// <summary>Several as one: each with its length before it.</summary>
    public static byte[] EncodeAll(IReadOnlyList<SessionMessage> messages)
    {
        ArgumentNullException.ThrowIfNull(messages);
        var encoded = new byte[messages.Count][];
        var bytes = 0;
        for (var i = 0; i < encoded.Length; i++)
            bytes += 4 + (encoded[i] = Encode(messages[i])).Length;
        var all = new byte[bytes];
        var at = 0;
        foreach (var one in encoded)
        {
            BinaryPrimitives.WriteInt32LittleEndian(all.AsSpan(at), one.Length);
            one.CopyTo(all, at + 4);
            at += 4 + one.Length;
        }
        return all;
    }

    /// <exception cref="InvalidDataException">They are none.</exception>
    public static IReadOnlyList<SessionMessage> DecodeAll(ulong from, ulong to, ReadOnlyMemory<byte> data)
    {
        var messages = new List<SessionMessage>();
        while (!data.IsEmpty)
        {
            if (data.Length < 4 || BinaryPrimitives.ReadInt32LittleEndian(data.Span) is var length && (length < 0 || length > data.Length - 4))
                throw new InvalidDataException("messages on sessions are cut short");
            messages.Add(Decode(from, to, data.Slice(4, length)));
            data = data[(4 + length)..];
        }
        return messages;
    }

    /// <exception cref="InvalidDataException">It is none.</exception>
    public static SessionMessage Decode(ulong from, ulong to, ReadOnlyMemory<byte> data)
    {
        var span = data.Span;
        if (span.Length < HeaderBytes || BinaryPrimitives.ReadInt32LittleEndian(span[38..]) is var length && (length < 0 || length > span.Length - HeaderBytes))
            throw new InvalidDataException("a message on a session is cut short");
        var operation = BinaryPrimitives.ReadInt64LittleEndian(span[1..]);
        var key = Encoding.UTF8.GetString(span.Slice(HeaderBytes, length));
        var time = new HybridTime(
            BinaryPrimitives.ReadInt64LittleEndian(span[9..]), BinaryPrimitives.ReadInt32LittleEndian(span[17..]), BinaryPrimitives.ReadUInt64LittleEndian(span[21..]));
        // Without the type, null would be an empty value.
        var value = (span[37] & 2) != 0 ? data[(HeaderBytes + length)..] : (ReadOnlyMemory<byte>?)null;
        var version = (span[37] & 1) != 0 ? new SessionVersion(time, value, BinaryPrimitives.ReadInt64LittleEndian(span[29..])) : null;
        return span[0] switch
        {
            1 => new SessionStore(from, to, operation, key, version ?? throw new InvalidDataException("a session to be kept has no version")),
            2 => new SessionStored(from, to, operation, key, time),
            3 => new SessionAsk(from, to, operation, key),
            4 => new SessionHas(from, to, operation, key, version),
            var kind => throw new InvalidDataException($"a message on a session has the unknown kind {kind}"),
        };
    }
}
