using System.Buffers.Binary;

namespace Millrace.Simulation.Consensus;

/// <summary>A state machine of a few registers, small enough to be checked whole.</summary>
internal sealed class SimulatedMachine
{
    public SortedDictionary<int, int> Values { get; } = [];

    public static byte[] Encode(int action, int key, int expected, int value)
    {
        var bytes = new byte[16];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, action);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(4), key);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(8), expected);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(12), value);
        return bytes;
    }

    /// <summary>Returns whether the command took effect.</summary>
    public bool Apply(ReadOnlySpan<byte> command)
    {
        var action = BinaryPrimitives.ReadInt32LittleEndian(command);
        var key = BinaryPrimitives.ReadInt32LittleEndian(command[4..]);
        var value = BinaryPrimitives.ReadInt32LittleEndian(command[12..]);
        if (action == 1 && Values.GetValueOrDefault(key, int.MinValue) != BinaryPrimitives.ReadInt32LittleEndian(command[8..]))
            return false;
        Values[key] = value;
        return true;
    }

    public SimulatedMachine Copy()
    {
        var copy = new SimulatedMachine();
        foreach (var (key, value) in Values)
            copy.Values[key] = value;
        return copy;
    }

    public void Save(Stream stream)
    {
        Span<byte> pair = stackalloc byte[8];
        foreach (var (key, value) in Values)
        {
            BinaryPrimitives.WriteInt32LittleEndian(pair, key);
            BinaryPrimitives.WriteInt32LittleEndian(pair[4..], value);
            stream.Write(pair);
        }
    }

    public void Load(Stream stream)
    {
        Values.Clear();
        Span<byte> pair = stackalloc byte[8];
        while (stream.ReadAtLeast(pair, 8, throwOnEndOfStream: false) == 8)
            Values[BinaryPrimitives.ReadInt32LittleEndian(pair)] = BinaryPrimitives.ReadInt32LittleEndian(pair[4..]);
    }
}
