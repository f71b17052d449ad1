namespace Millrace.Query.Wire;

/// <summary>The messages that a backend sends (PostgreSQL, Message Formats).</summary>
internal static class BackendMessages
{
    public static void WriteAuthenticationOk(this BackendWriter writer)
    {
        writer.Begin((byte)'R');
        writer.WriteInt32(0);
        writer.End();
    }

    public static void WriteSaslMechanisms(this BackendWriter writer, string mechanism)
    {
        writer.Begin((byte)'R');
        writer.WriteInt32(10);
        writer.WriteCString(mechanism);
        writer.WriteByte(0);
        writer.End();
    }

    /// <param name="writer">Where to.</param>
    /// <param name="code">11 to go on, 12 for the last one.</param>
    /// <param name="data">SCRAM's message.</param>
    public static void WriteSasl(this BackendWriter writer, int code, string data)
    {
        writer.Begin((byte)'R');
        writer.WriteInt32(code);
        writer.WriteText(data);
        writer.End();
    }

    public static void WriteParameterStatus(this BackendWriter writer, string name, string value)
    {
        writer.Begin((byte)'S');
        writer.WriteCString(name);
        writer.WriteCString(value);
        writer.End();
    }

    public static void WriteBackendKeyData(this BackendWriter writer, int process, int secret)
    {
        writer.Begin((byte)'K');
        writer.WriteInt32(process);
        writer.WriteInt32(secret);
        writer.End();
    }

    public static void WriteNegotiateVersion(this BackendWriter writer, IReadOnlyList<string> unknownOptions)
    {
        writer.Begin((byte)'v');
        writer.WriteInt32(0);
        writer.WriteInt32(unknownOptions.Count);
        foreach (var option in unknownOptions)
            writer.WriteCString(option);
        writer.End();
    }

    public static void WriteReadyForQuery(this BackendWriter writer, TransactionState state)
    {
        writer.Begin((byte)'Z');
        writer.WriteByte(state switch
        {
            TransactionState.Idle => (byte)'I',
            TransactionState.Open => (byte)'T',
            _ => (byte)'E',
        });
        writer.End();
    }

    public static void WriteCommandComplete(this BackendWriter writer, string tag)
    {
        writer.Begin((byte)'C');
        writer.WriteCString(tag);
        writer.End();
    }

    /// <summary>ParseComplete, BindComplete and the other messages without a body.</summary>
    public static void WriteEmpty(this BackendWriter writer, char tag)
    {
        writer.Begin((byte)tag);
        writer.End();
    }

    public static void WriteRowDescription(this BackendWriter writer, IReadOnlyList<SqlColumn> columns, short[] formats)
    {
        writer.Begin((byte)'T');
        writer.WriteInt16((short)columns.Count);
        for (var i = 0; i < columns.Count; i++)
        {
            var type = PostgresTypes.Of(columns[i].Type, columns[i].SqlType);
            writer.WriteCString(columns[i].Name);
            writer.WriteInt32(0);
            writer.WriteInt16(0);
            writer.WriteInt32(type.Oid);
            writer.WriteInt16(type.Size);
            writer.WriteInt32(type == PostgresTypes.Numeric ? PostgresTypes.ModifierOf(columns[i].Type) : -1);
            writer.WriteInt16(BindMessage.FormatOf(formats, i));
        }
        writer.End();
    }

    public static void WriteParameterDescription(this BackendWriter writer, IReadOnlyList<PostgresType> types)
    {
        writer.Begin((byte)'t');
        writer.WriteInt16((short)types.Count);
        foreach (var type in types)
            writer.WriteInt32(type.Oid);
        writer.End();
    }

    public static void WriteCopyOut(this BackendWriter writer, int columns)
    {
        writer.Begin((byte)'H');
        writer.WriteByte(0);
        writer.WriteInt16((short)columns);
        for (var i = 0; i < columns; i++)
            writer.WriteInt16(0);
        writer.End();
    }

    public static void WriteError(this BackendWriter writer, SqlException error, string severity = "ERROR")
    {
        writer.Abandon();
        WriteReport(writer, (byte)'E', severity, error.SqlState, error.Message, error.Detail, error.Hint, error.Position);
    }

    public static void WriteNotice(this BackendWriter writer, string message) =>
        WriteReport(writer, (byte)'N', "NOTICE", "00000", message, null, null, null);

    private static void WriteReport(
        BackendWriter writer, byte tag, string severity, string state, string message, string? detail, string? hint, int? position)
    {
        writer.Begin(tag);
        Field('S', severity);
        Field('V', severity);
        Field('C', state);
        Field('M', message);
        if (detail is not null)
            Field('D', detail);
        if (hint is not null)
            Field('H', hint);
        if (position is { } at)
            Field('P', at.ToString(System.Globalization.CultureInfo.InvariantCulture));
        writer.WriteByte(0);
        writer.End();

        void Field(char code, string value)
        {
            writer.WriteByte((byte)code);
            writer.WriteCString(value);
        }
    }
}
