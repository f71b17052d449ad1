using Millrace.Kafka.Messages;

namespace Millrace.Kafka.Wire;

/// <summary>
/// One direction of Kafka's wire format. A message describes its fields once, in order, against this interface; a
/// <see cref="WireReader"/> fills them and a <see cref="WireWriter"/> writes them, each in the classic or the flexible encoding (KIP-482).
/// </summary>
public interface IWireCodec
{
    /// <summary>The version of the request or response that is on the wire.</summary>
    short Version { get; }

    void Boolean(ref bool value);

    void Int8(ref sbyte value);

    void Int16(ref short value);

    void Int32(ref int value);

    void Error(ref ErrorCode value);

    void Int64(ref long value);

    void Float64(ref double value);

    /// <summary>16 raw bytes, most significant first.</summary>
    void Uuid(ref Guid value);

    void String(ref string value);

    void NullableString(ref string? value);

    /// <summary>Bytes that share the frame's memory when read: valid as long as the frame is.</summary>
    void Bytes(ref ReadOnlyMemory<byte> value);

    /// <summary>As <see cref="Bytes"/>; null and empty are both read as empty, and empty is written as empty.</summary>
    void Records(ref ReadOnlyMemory<byte> value);

    void Int32s(ref List<int> items);

    void Int64s(ref List<long> items);

    void Strings(ref List<string> items);

    void NullableStrings(ref List<string>? items);

    /// <summary>An array of structs, each with its own tag buffer in flexible versions.</summary>
    void Structs<T>(ref List<T> items) where T : class, IWireStruct, new();

    void NullableStructs<T>(ref List<T>? items) where T : class, IWireStruct, new();

    /// <summary>A struct that is always there, with its own tag buffer in flexible versions.</summary>
    void Struct<T>(ref T value) where T : class, IWireStruct, new();

    /// <summary>A struct that may be absent: one byte, 1 or -1, before it.</summary>
    void NullableStruct<T>(ref T? value) where T : class, IWireStruct, new();
}

/// <summary>A message, or a struct inside one.</summary>
public interface IWireStruct
{
    /// <summary>Passes each field that the version has to the codec, in wire order. The tag buffer at the end is the codec's business.</summary>
    void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct;
}

/// <summary>Bytes that are not what the protocol says. The connection that sent them cannot be trusted any more.</summary>
public sealed class WireFormatException(string message) : Exception(message);
