namespace Millrace.Query.Wire;

/// <summary>The first message of a connection.</summary>
internal abstract record FirstMessage
{
    private const int CancelCode = (1234 << 16) | 5678;
    private const int SslCode = (1234 << 16) | 5679;
    private const int GssCode = (1234 << 16) | 5680;

    public static FirstMessage Read(ReadOnlySpan<byte> body)
    {
        var reader = new FrameReader(body);
        var code = reader.ReadInt32();
        switch (code)
        {
            case SslCode or GssCode:
                return new EncryptionRequest();
            case CancelCode:
                var cancel = new CancelRequest(reader.ReadInt32(), reader.ReadInt32());
                reader.ExpectEnd();
                return cancel;
        }
        if (code >> 16 != 3)
        {
            throw new ProtocolException(
                $"unsupported frontend protocol {code >> 16}.{code & 0xFFFF}: server supports 3.0", SqlStates.FeatureNotSupported);
        }
        var settings = new Dictionary<string, string>(StringComparer.Ordinal);
        while (true)
        {
            var name = reader.ReadCString();
            if (name.Length == 0)
                break;
            settings[name] = reader.ReadCString();
        }
        reader.ExpectEnd();
        return new StartupMessage(code & 0xFFFF, settings);
    }
}

/// <summary>SSLRequest or GSSENCRequest.</summary>
internal sealed record EncryptionRequest : FirstMessage;

internal sealed record CancelRequest(int ProcessId, int SecretKey) : FirstMessage;

internal sealed record StartupMessage(int MinorVersion, IReadOnlyDictionary<string, string> Settings) : FirstMessage;

internal sealed record ParseMessage(string Statement, string Sql, int[] ParameterTypes)
{
    public static ParseMessage Read(ReadOnlySpan<byte> body)
    {
        var reader = new FrameReader(body);
        var name = reader.ReadCString();
        var sql = reader.ReadCString();
        var types = new int[reader.ReadCount(4)];
        for (var i = 0; i < types.Length; i++)
            types[i] = reader.ReadInt32();
        reader.ExpectEnd();
        return new ParseMessage(name, sql, types);
    }
}

/// <summary>Bind; a null value is SQL's null.</summary>
internal sealed record BindMessage(string Portal, string Statement, short[] Formats, byte[]?[] Values, short[] ResultFormats)
{
    public static BindMessage Read(ReadOnlySpan<byte> body)
    {
        var reader = new FrameReader(body);
        var portal = reader.ReadCString();
        var statement = reader.ReadCString();
        var formats = ReadFormats(ref reader);
        var values = new byte[]?[reader.ReadCount(4)];
        for (var i = 0; i < values.Length; i++)
        {
            var length = reader.ReadInt32();
            values[i] = length == -1 ? null : reader.ReadBytes(length).ToArray();
        }
        var results = ReadFormats(ref reader);
        reader.ExpectEnd();
        if (formats.Length > 1 && formats.Length != values.Length)
        {
            throw new ProtocolException(
                $"bind message has {formats.Length} parameter formats but {values.Length} parameters");
        }
        return new BindMessage(portal, statement, formats, values, results);
    }

    /// <summary>The format of value or column <paramref name="index"/>: none named means text, one named means all (PostgreSQL, Bind).</summary>
    public static short FormatOf(short[] formats, int index) => formats.Length switch
    {
        0 => 0,
        1 => formats[0],
        _ => formats[index],
    };

    private static short[] ReadFormats(ref FrameReader reader)
    {
        var formats = new short[reader.ReadCount(2)];
        for (var i = 0; i < formats.Length; i++)
        {
            formats[i] = reader.ReadInt16();
            if (formats[i] is not (0 or 1))
                throw new ProtocolException($"unsupported format code: {formats[i]}", SqlStates.InvalidParameterValue);
        }
        return formats;
    }
}

/// <summary>Describe or Close: of a statement (<c>S</c>) or a portal (<c>P</c>).</summary>
internal readonly record struct TargetMessage(bool IsPortal, string Name)
{
    public static TargetMessage Read(ReadOnlySpan<byte> body)
    {
        var reader = new FrameReader(body);
        var kind = reader.ReadByte();
        var name = reader.ReadCString();
        reader.ExpectEnd();
        return kind switch
        {
            (byte)'S' => new TargetMessage(false, name),
            (byte)'P' => new TargetMessage(true, name),
            _ => throw new ProtocolException($"invalid message subtype {kind}"),
        };
    }
}

/// <param name="Portal">Its name.</param>
/// <param name="MaxRows">0 for all.</param>
internal readonly record struct ExecuteMessage(string Portal, int MaxRows)
{
    public static ExecuteMessage Read(ReadOnlySpan<byte> body)
    {
        var reader = new FrameReader(body);
        var message = new ExecuteMessage(reader.ReadCString(), reader.ReadInt32());
        reader.ExpectEnd();
        return message;
    }
}
