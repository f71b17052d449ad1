using System.Buffers.Binary;
using System.Text;
using Google.Protobuf;

namespace Millrace.Coordination.Machine;

/// <summary>What a command does; the numbers are on disk.</summary>
internal enum CommandKind : byte
{
    Put = 1,
    DeleteRange = 2,
    Txn = 3,
    Compact = 4,
    LeaseGrant = 5,
    LeaseRevoke = 6,
    Alarm = 7,
    MemberAttributes = 8,
    AuthEnable = 20,
    AuthDisable = 21,
    UserAdd = 22,
    UserDelete = 23,
    UserChangePassword = 24,
    UserGrantRole = 25,
    UserRevokeRole = 26,
    RoleAdd = 27,
    RoleDelete = 28,
    RoleGrantPermission = 29,
    RoleRevokePermission = 30,
}

/// <summary>
/// An entry of the log for the state machine: kind (1), member that took the request (8), its number there (8), revision of the rights
/// that were checked (8), length of the user's name (1), the name, and the request as it came over the wire.
/// </summary>
/// <param name="Origin">Who waits for the result.</param>
/// <param name="RequestId">Unique at the origin, also over restarts.</param>
/// <param name="User">Empty when rights are not in use.</param>
internal readonly record struct Command(
    CommandKind Kind, ulong Origin, ulong RequestId, ulong AuthRevision, string User, ReadOnlyMemory<byte> Request)
{
    private const int FixedBytes = 26;

    public static byte[] Encode(CommandKind kind, ulong origin, ulong requestId, ulong authRevision, string user, IMessage request)
    {
        var userBytes = Encoding.UTF8.GetByteCount(user);
        if (userBytes > byte.MaxValue)
            throw new ArgumentException("a user's name has at most 255 bytes", nameof(user));
        var data = new byte[FixedBytes + userBytes + request.CalculateSize()];
        data[0] = (byte)kind;
        BinaryPrimitives.WriteUInt64LittleEndian(data.AsSpan(1), origin);
        BinaryPrimitives.WriteUInt64LittleEndian(data.AsSpan(9), requestId);
        BinaryPrimitives.WriteUInt64LittleEndian(data.AsSpan(17), authRevision);
        data[25] = (byte)userBytes;
        Encoding.UTF8.GetBytes(user, data.AsSpan(FixedBytes));
        request.WriteTo(data.AsSpan(FixedBytes + userBytes));
        return data;
    }

    /// <exception cref="InvalidDataException">It is cut short.</exception>
    public static Command Decode(ReadOnlyMemory<byte> data)
    {
        var span = data.Span;
        if (span.Length < FixedBytes || span.Length < FixedBytes + span[25])
            throw new InvalidDataException("a command in the log is cut short");
        return new Command(
            (CommandKind)span[0], BinaryPrimitives.ReadUInt64LittleEndian(span[1..]), BinaryPrimitives.ReadUInt64LittleEndian(span[9..]),
            BinaryPrimitives.ReadUInt64LittleEndian(span[17..]), Encoding.UTF8.GetString(span.Slice(FixedBytes, span[25])),
            data[(FixedBytes + span[25])..]);
    }
}
