using System.Globalization;
using Millrace.Columnar.Avro;

namespace Millrace.Iceberg.Manifests;

/// <summary>Manifest lists: one line a manifest of a snapshot.</summary>
internal static class ManifestList
{
    /// <exception cref="IcebergException">The file is damaged; the message names it.</exception>
    public static List<ManifestFile> Read(ReadOnlyMemory<byte> content, string path)
    {
        try
        {
            var file = new AvroFileReader(content, path);
            var fields = new AvroFields(file.Schema, path);
            var manifests = new List<ManifestFile>();
            while (file.NextBlock())
            {
                var reader = new AvroReader(file.Block.Span);
                for (var i = 0L; i < file.BlockCount; i++)
                    manifests.Add(ReadLine(ref reader, fields, path));
            }
            return manifests;
        }
        catch (AvroException error)
        {
            throw new IcebergException(
                $"the manifest list {path} is damaged: {error.Message}; read an earlier snapshot, or restore the file", error);
        }
    }

    /// <summary>Writes the list of a snapshot. Manifests without a sequence number get the snapshot's.</summary>
    /// <param name="firstRowId">v3: the table's next row id; data manifests without one get running values from it.</param>
    /// <returns>The file, and how far row ids went.</returns>
    public static (byte[] Content, long AddedRows) Write(
        IReadOnlyList<ManifestFile> manifests, int formatVersion, long snapshotId, long? parentId, long sequenceNumber, long firstRowId, Guid sync)
    {
        var keys = new Dictionary<string, string>
        {
            ["snapshot-id"] = snapshotId.ToString(CultureInfo.InvariantCulture),
            ["parent-snapshot-id"] = parentId?.ToString(CultureInfo.InvariantCulture) ?? "null",
            ["sequence-number"] = sequenceNumber.ToString(CultureInfo.InvariantCulture),
            ["format-version"] = formatVersion.ToString(CultureInfo.InvariantCulture),
        };
        if (formatVersion >= 3)
            keys["first-row-id"] = firstRowId.ToString(CultureInfo.InvariantCulture);
        var file = new AvroFileWriter(ManifestSchemas.ListSchema(formatVersion), keys, sync.ToByteArray());
        var nextRowId = firstRowId;
        foreach (var manifest in manifests)
        {
            var line = manifest with
            {
                SequenceNumber = manifest.SequenceNumber == ManifestFile.Unassigned ? sequenceNumber : manifest.SequenceNumber,
                // Mixed manifests hold added files too, but an existing file is always older than this snapshot.
                MinSequenceNumber = manifest.MinSequenceNumber == ManifestFile.Unassigned ? sequenceNumber : manifest.MinSequenceNumber,
            };
            if (formatVersion >= 3 && line.Content == ManifestContent.Data && line.FirstRowId is null)
            {
                line = line with { FirstRowId = nextRowId };
                nextRowId += Math.Max(0, line.AddedRows) + Math.Max(0, line.ExistingRows);
            }
            WriteLine(file, line, formatVersion);
        }
        return (file.Finish(), nextRowId - firstRowId);
    }

    private static void WriteLine(AvroFileWriter file, ManifestFile manifest, int formatVersion)
    {
        var writer = file.Records;
        writer.WriteString(manifest.Path);
        writer.WriteLong(manifest.Length);
        writer.WriteInt(manifest.SpecId);
        writer.WriteInt((int)manifest.Content);
        writer.WriteLong(manifest.SequenceNumber);
        writer.WriteLong(manifest.MinSequenceNumber);
        writer.WriteLong(manifest.AddedSnapshotId);
        writer.WriteInt(manifest.AddedFiles);
        writer.WriteInt(manifest.ExistingFiles);
        writer.WriteInt(manifest.DeletedFiles);
        writer.WriteLong(manifest.AddedRows);
        writer.WriteLong(manifest.ExistingRows);
        writer.WriteLong(manifest.DeletedRows);
        writer.WriteOptional(manifest.Partitions is not null);
        if (manifest.Partitions is { } partitions)
        {
            if (partitions.Count > 0)
            {
                writer.WriteLong(partitions.Count);
                foreach (var summary in partitions)
                    WriteSummary(writer, summary);
            }
            writer.WriteLong(0);
        }
        WriteBytes(writer, manifest.KeyMetadata);
        if (formatVersion >= 3)
        {
            writer.WriteOptional(manifest.FirstRowId is not null);
            if (manifest.FirstRowId is { } first)
                writer.WriteLong(first);
        }
        file.EndRecord();
    }

    private static void WriteSummary(AvroWriter writer, FieldSummary summary)
    {
        writer.WriteBoolean(summary.ContainsNull);
        writer.WriteOptional(summary.ContainsNan is not null);
        if (summary.ContainsNan is { } nan)
            writer.WriteBoolean(nan);
        WriteBytes(writer, summary.Lower);
        WriteBytes(writer, summary.Upper);
    }

    private static void WriteBytes(AvroWriter writer, byte[]? value)
    {
        writer.WriteOptional(value is not null);
        if (value is not null)
            writer.WriteBytes(value);
    }

    private static ManifestFile ReadLine(ref AvroReader reader, AvroFields fields, string path)
    {
        var line = new ManifestFile { Path = "", Length = 0, SpecId = 0 };
        for (var i = 0; i < fields.Ids.Length; i++)
        {
            switch (fields.Ids[i])
            {
                case 500:
                    line = line with { Path = reader.ReadString() };
                    break;
                case 501:
                    line = line with { Length = reader.ReadLong() };
                    break;
                case 502:
                    line = line with { SpecId = reader.ReadInt() };
                    break;
                case 517:
                    line = line with { Content = (ManifestContent)(fields.OptionalInt(ref reader, i) ?? 0) };
                    break;
                case 515:
                    line = line with { SequenceNumber = fields.OptionalLong(ref reader, i) ?? 0 };
                    break;
                case 516:
                    line = line with { MinSequenceNumber = fields.OptionalLong(ref reader, i) ?? 0 };
                    break;
                case 503:
                    line = line with { AddedSnapshotId = fields.OptionalLong(ref reader, i) ?? 0 };
                    break;
                case 507:
                    line = line with { Partitions = fields.Present(ref reader, i) ? ReadSummaries(ref reader, fields.TypeOf(i), path) : null };
                    break;
                case 519:
                    line = line with { KeyMetadata = fields.OptionalBytes(ref reader, i) };
                    break;
                case 520:
                    line = line with { FirstRowId = fields.OptionalLong(ref reader, i) };
                    break;
                case 504 or 505 or 506 or 512 or 513 or 514:
                    line = WithCount(line, fields.Ids[i], fields.OptionalLong(ref reader, i));
                    break;
                default:
                    fields.Skip(ref reader, i);
                    break;
            }
        }
        return line;
    }

    private static ManifestFile WithCount(ManifestFile line, int id, long? value) => id switch
    {
        504 => line with { AddedFiles = (int)(value ?? -1) },
        505 => line with { ExistingFiles = (int)(value ?? -1) },
        506 => line with { DeletedFiles = (int)(value ?? -1) },
        512 => line with { AddedRows = value ?? -1 },
        513 => line with { ExistingRows = value ?? -1 },
        _ => line with { DeletedRows = value ?? -1 },
    };

    private static List<FieldSummary> ReadSummaries(ref AvroReader reader, AvroSchema array, string path)
    {
        var fields = new AvroFields(array.Element!, path);
        var summaries = new List<FieldSummary>();
        while (reader.ReadBlockCount() is not 0 and var count)
        {
            for (var n = 0L; n < count; n++)
            {
                var summary = default(FieldSummary);
                for (var i = 0; i < fields.Ids.Length; i++)
                {
                    switch (fields.Ids[i])
                    {
                        case 509:
                            summary = summary with { ContainsNull = reader.ReadBoolean() };
                            break;
                        case 518:
                            summary = summary with { ContainsNan = fields.Present(ref reader, i) ? reader.ReadBoolean() : null };
                            break;
                        case 510:
                            summary = summary with { Lower = fields.OptionalBytes(ref reader, i) };
                            break;
                        case 511:
                            summary = summary with { Upper = fields.OptionalBytes(ref reader, i) };
                            break;
                        default:
                            fields.Skip(ref reader, i);
                            break;
                    }
                }
                summaries.Add(summary);
            }
        }
        return summaries;
    }
}
