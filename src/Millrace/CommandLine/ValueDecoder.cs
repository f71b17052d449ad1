using System.Buffers.Binary;
using System.Text;
using Millrace.Columnar.Avro;
using Millrace.Schemas;

namespace Millrace.Host.CommandLine;

/// <summary>
/// Shows values that were written with a schema: Confluent's frame (a zero, the schema's id, the value), the schema from the registry. Avro
/// becomes JSON text; what is framed otherwise or not at all is shown as it is.
/// </summary>
internal sealed class ValueDecoder(Uri registry) : IDisposable
{
    private const int FrameBytes = 5;
    private readonly RegistryClient _registry = new(registry, TimeSpan.FromSeconds(10));
    private readonly Dictionary<int, (SchemaType Type, AvroValueText? Avro)?> _schemas = [];

    /// <exception cref="CommandException">The registry does not answer.</exception>
    public string Text(byte[] value)
    {
        if (value.Length < FrameBytes || value[0] != 0)
            return Encoding.UTF8.GetString(value);
        var id = BinaryPrimitives.ReadInt32BigEndian(value.AsSpan(1));
        var body = value.AsSpan(FrameBytes);
        if (SchemaOf(id) is not { } schema)
            return Encoding.UTF8.GetString(value);
        try
        {
            return schema.Type switch
            {
                SchemaType.Avro => schema.Avro!.Write(body),
                SchemaType.Json => Encoding.UTF8.GetString(body),
                _ => $"{schema.Type} of schema {id}: {Convert.ToHexString(body)}",
            };
        }
        catch (AvroException wrong)
        {
            return $"not a value of schema {id} ({wrong.Message}): {Convert.ToHexString(body)}";
        }
    }

    public void Dispose() => _registry.Dispose();

    private (SchemaType Type, AvroValueText? Avro)? SchemaOf(int id)
    {
        if (_schemas.TryGetValue(id, out var known))
            return known;
        try
        {
            var found = _registry.ById(id);
            return _schemas[id] = found is null ? null
                : (found.Type, found.Type == SchemaType.Avro ? new AvroValueText(AvroSchema.Parse(found.Text, found.Referenced)) : null);
        }
        catch (RegistryUnreachableException failure)
        {
            throw new CommandException(failure.Message, "start the platform with: ./millrace up, or name a registry with --registry", ExitCode.Unreachable);
        }
    }
}
