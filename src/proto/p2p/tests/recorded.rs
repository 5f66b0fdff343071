//! The client's side against what git-annex's server said, as far as it says what the recorded clients said.

use crate::name::Uuid;
use crate::proto::p2p::{Answer, Client, Message, Request};
use testbed::recorded::transcript::{FILES, File, Section, at_time, unquote};

#[test]
fn recorded_servers_are_understood() {
    let (mut whole, mut answers) = (Vec::new(), 0);
    for (name, text) in FILES {
        for step in [usize::MAX, 1] {
            let file = File::parse(text);
            let own = Uuid::parse(file.expand("$uuid").as_bytes()).expect("a uuid");
            for section in &file.sections {
                let (all, heard) = replay(&own, section, step);
                answers += heard;
                if all {
                    whole.push(format!("{name}: {}", section.title));
                }
            }
        }
    }
    // Most recorded clients did what no client should, sooner or later.
    assert!(whole.len() >= 10 && answers >= 100, "{} answers; whole: {whole:#?}", answers);
}

/// Holds a conversation as far as it goes; whether that is to its end, and how many answers were heard.
fn replay(own: &Uuid, section: &Section, step: usize) -> (bool, usize) {
    let mut client = Client::new(own.clone());
    let mut answers = 0;
    for item in &section.items {
        let (word, rest) = item.split_once(' ').unwrap_or((item, ""));
        let line = at_time(&rest.replace('*', "7"), 1000).into_bytes();
        match word {
            "<" => {
                answers +=
                    hear(&mut client, &[unquote(&String::from_utf8_lossy(&line)), b"\n".to_vec()].concat(), step);
            }
            "<<" => answers += hear(&mut client, &unquote(rest), step),
            ">>" => {
                if client.version().number() == 0 && client.sent(true).is_err() {
                    return (false, answers);
                }
            }
            ">" => {
                let said = unquote(&String::from_utf8_lossy(&line));
                let Some(message) = Message::parse(&said) else { return (false, answers) };
                let plain = message.encode() == [said.as_slice(), b"\n"].concat();
                let other_version = matches!(message, Message::Version(_));
                if !plain || !say(&mut client, message) {
                    return (false, answers);
                }
                let output = client.take_output();
                if !other_version {
                    assert_eq!(output, [said.as_slice(), b"\n"].concat(), "{}: {item}", section.title);
                }
            }
            "close" => return (client.is_idle(), answers),
            _ => return (false, answers),
        }
    }
    (true, answers)
}

/// Whether a client of ours can say this here.
fn say(client: &mut Client, message: Message) -> bool {
    let request = match message {
        // It does so by itself, always for the newest.
        Message::Version(0..) => return !client.is_idle(),
        Message::CheckPresent(key) => Request::CheckPresent(key),
        Message::LockContent(key) => Request::Lock(key),
        Message::Remove(key) => Request::Remove(key),
        Message::RemoveBefore(timestamp, key) => Request::RemoveBefore { timestamp, key },
        Message::GetTimestamp => Request::Timestamp,
        Message::Get(offset @ 0.., file, key) => Request::Get { offset: offset.unsigned_abs(), file, key },
        Message::Put(file, key) => Request::Put { file, key },
        Message::Data(len @ 0..) => return client.data(len.unsigned_abs()).is_ok(),
        Message::DataPresent => return client.data_present().is_ok(),
        Message::Valid => return client.sent(true).is_ok(),
        Message::Invalid => return client.sent(false).is_ok(),
        Message::Success(None) => return client.got(true).is_ok(),
        Message::Failure(None) => return client.got(false).is_ok(),
        Message::UnlockContent => return client.unlock().is_ok(),
        _ => return false,
    };
    client.ask(&request).is_ok()
}

fn hear(client: &mut Client, bytes: &[u8], step: usize) -> usize {
    let mut answers = 0;
    for piece in bytes.chunks(step) {
        client.push(piece);
        loop {
            client.take_payload(usize::MAX);
            match client.next_answer() {
                Ok(Some(Answer::Ready)) => {}
                Ok(Some(_)) => answers += 1,
                // Said to something that our client did not say.
                Ok(None) | Err(_) => break,
            }
        }
    }
    answers
}
