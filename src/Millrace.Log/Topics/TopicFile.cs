using System.Text.Json;
using Millrace.Storage.Files;

namespace Millrace.Log.Topics;

/// <summary>What <c>topic.json</c> in a topic's folder says.</summary>
internal sealed record TopicFile(int Format, string Name, Guid Id, int Partitions, Dictionary<string, string> Configs)
{
    public const string FileName = "topic.json";
    public const int CurrentFormat = 1;

    private static readonly JsonSerializerOptions Options = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    public void Save(IFileSystem files, string folder) =>
        DurableFile.Replace(files, Path.Combine(folder, FileName), JsonSerializer.SerializeToUtf8Bytes(this, Options));

    /// <exception cref="InvalidDataException">The file is not what was written.</exception>
    public static TopicFile Load(IFileSystem files, string folder)
    {
        var path = Path.Combine(folder, FileName);
        try
        {
            var file = JsonSerializer.Deserialize<TopicFile>(DurableFile.ReadAll(files, path), Options);
            if (file is { Format: CurrentFormat, Partitions: > 0, Name: not null, Configs: not null })
                return file;
            throw new InvalidDataException($"{path} does not describe a topic of format {CurrentFormat}; restore it from a backup, or move the topic's folder away");
        }
        catch (JsonException error)
        {
            throw new InvalidDataException(
                $"{path} is damaged at line {error.LineNumber + 1}, byte {error.BytePositionInLine}; restore it from a backup, or move the topic's folder away", error);
        }
    }
}

/// <summary>What <c>cluster.json</c> in the data folder says.</summary>
/// <param name="Format">Of the data folder.</param>
/// <param name="ClusterId">As told to clients.</param>
/// <param name="Salt">Of the journal's checksums.</param>
/// <param name="ProducerIdsFrom">Producer ids from here on have not been given out.</param>
internal sealed record ClusterFile(int Format, string ClusterId, uint Salt, long ProducerIdsFrom)
{
    public const string FileName = "cluster.json";
    public const int CurrentFormat = 1;

    private static readonly JsonSerializerOptions Options = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    public void Save(IFileSystem files, string folder) =>
        DurableFile.Replace(files, Path.Combine(folder, FileName), JsonSerializer.SerializeToUtf8Bytes(this, Options));

    /// <summary>The file, or null when the folder is new.</summary>
    /// <exception cref="InvalidDataException">The file is not what was written.</exception>
    public static ClusterFile? Load(IFileSystem files, string folder)
    {
        var path = Path.Combine(folder, FileName);
        if (!files.FileExists(path))
            return null;
        try
        {
            var file = JsonSerializer.Deserialize<ClusterFile>(DurableFile.ReadAll(files, path), Options);
            if (file is { Format: CurrentFormat, ClusterId.Length: > 0 })
                return file;
            throw new InvalidDataException($"{path} does not describe a log of format {CurrentFormat}; open it with the version that wrote it, or restore the file from a backup");
        }
        catch (JsonException error)
        {
            throw new InvalidDataException($"{path} is damaged at line {error.LineNumber + 1}; restore it from a backup", error);
        }
    }
}
