/** The words of a report's page as a file, in both languages. The page in the window has the renderer's own messages. */

const en = {
  title: 'Method report', base: 'base', method: 'Method', made: 'Made', unfinished: 'Not finished: what is missing is left empty.',
  quality: 'Quality', cost: 'What it took', examples: 'Answers to the same prompts',
  versus: 'Against the SFT model', win: 'win', tie: 'tie', loss: 'loss', rate: 'Win rate (95 %)', score: 'Score', of: 'of', reward: 'Reward', gold: 'Gold', rewardModel: 'reward model', rejection: 'Rejection sampling', goldModel: 'gold reward model',
  kl: 'KL from SFT', perplexity: 'Perplexity', pairs: 'Preferred pairs', length: 'Answer length',
  time: 'Training time', road: 'With what it stands on', memory: 'Peak memory', tokens: 'Tokens', steps: 'Steps', models: 'Models in memory',
  baseModel: 'Base', instructions: 'Instructions', preferences: 'Preferences', prompts: 'Held-out prompts', stepLimit: 'Steps of each training',
  notes: [
    'All models answer the same held-out prompts greedily. A tie counts half a win; the interval is Wilson’s.',
    'KL: how far the model has gone from the SFT model, nats an answer, over answers it samples at temperature 1.',
    'Reward: mean score by the reward model that methods learn from; gold: by one trained on the other half of the pairs, which none learns from.',
    'Perplexity: of held-out instruction answers. Preferred pairs: held-out pairs whose chosen answer the model finds likelier.',
  ],
  rule: 'The score',
};
export type Words = typeof en;

const ko: Words = {
  title: '방법 비교 보고서', base: '베이스', method: '방법', made: '작성', unfinished: '아직 끝나지 않았습니다. 없는 값은 비워 둡니다.',
  quality: '품질', cost: '든 자원', examples: '같은 프롬프트에 대한 답변',
  versus: 'SFT 모델과 비교', win: '승', tie: '무', loss: '패', rate: '승률 (95 %)', score: '점수', of: '/', reward: '보상', gold: '골드', rewardModel: '보상 모델', rejection: '기각 샘플링', goldModel: '골드 보상 모델',
  kl: 'SFT와의 KL', perplexity: '퍼플렉시티', pairs: '선호 쌍', length: '답변 길이',
  time: '학습 시간', road: '앞 단계 포함', memory: '최대 메모리', tokens: '토큰', steps: '스텝', models: '메모리의 모델 수',
  baseModel: '베이스', instructions: '지시 데이터', preferences: '선호 데이터', prompts: '학습에 쓰지 않은 프롬프트', stepLimit: '학습마다 스텝 수',
  notes: [
    '모든 모델이 학습에 쓰지 않은 같은 프롬프트에 탐욕적으로 답합니다. 무승부는 반 승으로 세며 구간은 Wilson 구간입니다.',
    'KL: 온도 1로 뽑은 자신의 답변에서 SFT 모델로부터 얼마나 멀어졌는지(답변당 nats).',
    '보상: 방법들이 배우는 보상 모델의 평균 점수. 골드: 나머지 절반의 쌍으로 학습해 어떤 방법도 배우지 않는 보상 모델의 평균 점수.',
    '퍼플렉시티: 학습에 쓰지 않은 지시 답변 기준. 선호 쌍: 선택된 답을 모델이 더 그럴듯하게 보는 비율.',
  ],
  rule: '점수',
};

export const WORDS: Record<'en' | 'ko', Words> = { en, ko };
